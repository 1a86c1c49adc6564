/** Engines without a model: they choose what to run as the real ones do, and say how long it takes. */
import type { WorkClass } from "millrace-client/wire";
import { doubledWidth } from "#src/runtime/generation/arena.js";
import {
  Choosing,
  type EngineWork,
  type LaneLoad,
  type RunDecision,
  type WaitingItem,
} from "#src/runtime/generation/choosing.js";
import { RunCost } from "#src/runtime/run-cost.js";
import type { Payload } from "#src/work/payload.js";
import { ChoosingAccount } from "./choosing-rules.js";
import type { PiecePlan } from "./plan.js";
import { runMs } from "./recorded-runs.js";
import type { Judge } from "./rules.js";

export interface EngineItem {
  readonly itemId: number;
  readonly payload: Payload;
  readonly plan: PiecePlan;
}

export interface EngineRun {
  readonly stage: string;
  readonly runs: number;
  readonly rows: number;
  readonly width: number;
  readonly units: number;
  readonly paddedUnits: number;
  /** As recorded; the pipeline takes a little more or less. */
  readonly ms: number;
  readonly itemsBegin: boolean;
  readonly items: readonly EngineItem[];
  /** Called when it is over: the items that ended with it. */
  finish(ms: number, nowMs: number): readonly EngineItem[];
}

export interface SimEngine {
  add(
    batch: { readonly batchId: number; readonly class: WorkClass },
    items: readonly EngineItem[],
    nowMs: number,
  ): void;
  cancel(itemIds: readonly number[]): void;
  recall(itemIds: readonly number[]): number[];
  next(nowMs: number): EngineRun | null;
  begun(): number[];
  /** It has something to run. */
  readonly isBusy: boolean;
  has(itemId: number): boolean;
}

/** Batches one after the other, each in one run. */
export class OneShotEngine implements SimEngine {
  readonly #batches: { readonly batchId: number; items: EngineItem[] }[] = [];
  #running: EngineItem[] = [];

  add({ batchId }: { readonly batchId: number }, items: readonly EngineItem[]): void {
    const last = this.#batches.at(-1);
    if (last?.batchId === batchId) last.items.push(...items);
    else this.#batches.push({ batchId, items: [...items] });
  }

  cancel(itemIds: readonly number[]): void {
    this.recall(itemIds);
    this.#running = this.#running.filter(({ itemId }) => !itemIds.includes(itemId));
  }

  recall(itemIds: readonly number[]): number[] {
    const taken: number[] = [];
    for (const batch of this.#batches) {
      batch.items = batch.items.filter(({ itemId }) => {
        if (!itemIds.includes(itemId)) return true;
        taken.push(itemId);
        return false;
      });
    }
    return taken;
  }

  get isBusy(): boolean {
    return this.#batches.some(({ items }) => items.length > 0);
  }

  next(): EngineRun | null {
    let items: EngineItem[] = [];
    while (items.length === 0) {
      const batch = this.#batches.shift();
      if (batch === undefined) return null;
      ({ items } = batch);
    }
    this.#running = items;
    const rows = sum(items, ({ plan }) => plan.rows);
    const width = Math.max(...items.map(({ plan }) => plan.width));
    return {
      stage: "encode",
      runs: 1,
      rows,
      width,
      units: sum(items, ({ plan }) => plan.units),
      paddedUnits: Math.round(sum(items, ({ plan }) => plan.units * (width / plan.width))),
      ms: runMs("encode", rows, width),
      itemsBegin: true,
      items,
      finish: () => this.#running.splice(0),
    };
  }

  begun(): number[] {
    return this.#running.map(({ itemId }) => itemId);
  }

  has(itemId: number): boolean {
    const isIt = (item: EngineItem): boolean => item.itemId === itemId;
    return this.#running.some(isIt) || this.#batches.some(({ items }) => items.some(isIt));
  }
}

interface Job extends WaitingItem {
  readonly item: EngineItem;
  readonly workClass: WorkClass;
  left: number;
}

type Ran = Exclude<RunDecision<Job>, { readonly kind: "idle" }>;

interface Lane extends LaneLoad {
  rows: number;
  jobs: Job[];
}

/** Tokens that a lane advances in one run, where nobody says it: fewer events, the same order. */
const usualStride = 16;

/** Chooses token by token, with the real engine's rules. */
export class GenerationEngine implements SimEngine {
  readonly #judge: Judge;
  readonly #stride: number;
  readonly #choosing: Choosing;
  readonly #account: ChoosingAccount;
  readonly #encodeCost = new RunCost(0.05);
  readonly #decodeCost = new RunCost(0.2);
  readonly #waiting: Record<WorkClass, Job[]> = { realtime: [], bulk: [] };
  readonly #lanes = new Map<string, Lane>();
  #encoding: Job[] = [];

  constructor(rowsMax: number, judge: Judge, stride: number = usualStride) {
    this.#judge = judge;
    this.#stride = stride;
    const limits = {
      rowsMax,
      chunkMs: 20,
      chunkBesideRealtimeMs: 5,
      gatherMs: 20,
      bulkShare: 0.125,
    };
    const costs = {
      encodeUnitsWithin: (ms: number) => this.#encodeCost.unitsWithin(ms),
      encodeMs: (units: number) => this.#encodeCost.predictMs(units),
      decodeMs: (rows: number) => this.#decodeCost.predictMs(rows),
    };
    this.#choosing = new Choosing(limits, costs);
    this.#account = new ChoosingAccount(limits, costs, judge);
  }

  add(batch: { readonly class: WorkClass }, items: readonly EngineItem[], nowMs: number): void {
    for (const item of items) {
      const { width, rows } = item.plan;
      this.#waiting[batch.class].push({
        itemId: item.itemId,
        tokens: width,
        rows,
        receivedAtMs: nowMs,
        alone: false,
        item,
        workClass: batch.class,
        left: Math.ceil(width / this.#stride),
      });
    }
  }

  cancel(itemIds: readonly number[]): void {
    this.recall(itemIds);
    const stays = ({ itemId }: Job): boolean => !itemIds.includes(itemId);
    this.#encoding = this.#encoding.filter(stays);
    for (const lane of this.#lanes.values()) this.#keep(lane, lane.jobs.filter(stays));
  }

  recall(itemIds: readonly number[]): number[] {
    const taken: number[] = [];
    for (const workClass of ["realtime", "bulk"] as const) {
      this.#waiting[workClass] = this.#waiting[workClass].filter(({ itemId }) => {
        if (!itemIds.includes(itemId)) return true;
        taken.push(itemId);
        return false;
      });
    }
    return taken;
  }

  get isBusy(): boolean {
    const { realtime, bulk } = this.#waiting;
    return realtime.length + bulk.length + this.#jobs().length > 0;
  }

  next(nowMs: number): EngineRun | null {
    let decision: RunDecision<Job>;
    const work = this.#work();
    try {
      decision = this.#choosing.decide(work, nowMs);
    } catch (error) {
      this.#judge("no promise inside is broken", `choosing threw ${String(error)}`);
      return null;
    }
    this.#account.decided(decision, work, nowMs);
    if (decision.kind === "idle") return null;
    return decision.kind === "encode" ? this.#encode(decision) : this.#decode(decision);
  }

  begun(): number[] {
    return this.#jobs().map(({ itemId }) => itemId);
  }

  has(itemId: number): boolean {
    const { realtime, bulk } = this.#waiting;
    return [...realtime, ...bulk, ...this.#jobs()].some((job) => job.itemId === itemId);
  }

  #jobs(): Job[] {
    return [...this.#encoding, ...[...this.#lanes.values()].flatMap(({ jobs }) => jobs)];
  }

  #work(): EngineWork<Job> {
    return { waiting: this.#waiting, lanes: [...this.#lanes.values()] };
  }

  #encode(decision: Extract<RunDecision<Job>, { readonly kind: "encode" }>): EngineRun {
    const { workClass, chunk, width } = decision;
    this.#waiting[workClass] = this.#waiting[workClass].filter((job) => !chunk.includes(job));
    this.#encoding = [...chunk];
    const rows = chunk.length;
    return {
      stage: "encode",
      runs: 1,
      rows,
      width,
      units: sum(chunk, ({ tokens }) => tokens),
      paddedUnits: rows * width,
      ms: runMs("encode", rows, width),
      itemsBegin: true,
      items: chunk.map(({ item }) => item),
      finish: (ms) => {
        this.#encodeCost.learn(rows * width, ms);
        for (const job of this.#encoding.splice(0)) this.#join(job, width);
        this.#ran(decision, ms);
        return [];
      },
    };
  }

  #decode(decision: Extract<RunDecision<Job>, { readonly kind: "decode" }>): EngineRun | null {
    const lane = this.#lanes.get(decision.laneKey);
    if (lane === undefined) {
      this.#judge("no promise inside is broken", `there is no lane ${decision.laneKey}`);
      return null;
    }
    const { rows, jobs } = lane;
    const stride = this.#stride;
    const width = Math.max(...jobs.map(({ tokens }) => tokens));
    return {
      stage: "decode",
      runs: stride,
      rows,
      width,
      units: stride * rows,
      paddedUnits: stride * rows,
      ms: stride * runMs("decode", rows, width),
      itemsBegin: false,
      items: jobs.map(({ item }) => item),
      finish: (ms) => {
        this.#decodeCost.learn(rows, ms);
        if (lane.jobs.some(({ item, alone }) => item.plan.answer === "breaks-run" && !alone))
          return this.#again(lane, { decision, ms });
        for (const job of lane.jobs) job.left -= 1;
        const ended = lane.jobs.filter(({ left }) => left <= 0);
        this.#keep(
          lane,
          lane.jobs.filter(({ left }) => left > 0),
        );
        this.#ran(decision, ms);
        return ended.map(({ item }) => item);
      },
    };
  }

  /** The run failed: each of its items starts again, alone. */
  #again(
    lane: Lane,
    { decision, ms }: { readonly decision: Ran; readonly ms: number },
  ): readonly EngineItem[] {
    for (const job of lane.jobs)
      this.#waiting[job.workClass].push({
        ...job,
        alone: true,
        left: Math.ceil(job.tokens / this.#stride),
      });
    this.#keep(lane, []);
    this.#ran(decision, ms);
    return [];
  }

  #join(job: Job, width: number): void {
    const { workClass } = job;
    const crossWidth = doubledWidth(width);
    const key = job.alone ? `alone ${job.itemId}` : `${workClass} ${job.rows} ${crossWidth}`;
    const lane = this.#lanes.get(key) ?? this.#newLane(key, job, crossWidth);
    this.#lanes.set(key, lane);
    this.#keep(lane, [...lane.jobs, job]);
  }

  #newLane(key: string, { workClass, rows }: Job, crossWidth: number): Lane {
    return { key, workClass, rows: 0, beams: rows, crossWidth, jobs: [] };
  }

  #keep(lane: Lane, jobs: Job[]): void {
    lane.jobs = jobs;
    lane.rows = sum(jobs, ({ rows }) => rows);
  }

  #ran(decision: Ran, ms: number): void {
    this.#choosing.ran(decision, ms, this.#work());
    this.#account.ran(decision, ms, this.#work());
  }
}

function sum<T>(values: readonly T[], of: (value: T) => number): number {
  let total = 0;
  for (const value of values) total += of(value);
  return total;
}
