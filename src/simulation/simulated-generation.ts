/** An engine that generates: chooses token by token, with the real engine's rules. */
import type { WorkClass } from "millrace-client/wire";
import { doubledWidth } from "../runtime/generation/arena.js";
import {
  Choosing,
  type ChoosingLimits,
  type EngineWork,
  type LaneLoad,
  type RunCosts,
  type RunDecision,
  type WaitingItem,
} from "../runtime/generation/choosing.js";
import { RunCost } from "../runtime/run-cost.js";
import {
  type EngineRun,
  type RunMs,
  type SimulatedEngine,
  type SimulatedItem,
  sum,
} from "./simulated-engine.js";

/** Whoever holds the choosing to an account of its own. */
export interface ChoosingWatcher {
  decided(decision: RunDecision<WaitingItem>, work: EngineWork<WaitingItem>, nowMs: number): void;
  ran(decision: Ran, ms: number, work: EngineWork<WaitingItem>): void;
  /** A promise inside was broken. Where nobody watches, it is thrown. */
  broke(why: string): void;
}

export interface SimulatedGenerationOptions<Item> {
  readonly limits: ChoosingLimits;
  readonly runMs: RunMs;
  /** Tokens that a lane advances in one run: more of them are fewer events, in the same order. Default: 1. */
  readonly stride?: number;
  /** Whether the item breaks each decoder run that it is in beside others. Default: none does. */
  readonly breaksRun?: (item: Item) => boolean;
  /** Made with what the engine learns of runs. */
  readonly watcher?: (costs: RunCosts) => ChoosingWatcher;
}

type Ran = Exclude<RunDecision<WaitingItem>, { readonly kind: "idle" }>;

interface Job<Item> extends WaitingItem {
  readonly item: Item;
  readonly workClass: WorkClass;
  left: number;
}

interface Lane<Item> extends LaneLoad {
  rows: number;
  jobs: Job<Item>[];
}

export class SimulatedGeneration<Item extends SimulatedItem> implements SimulatedEngine<Item> {
  readonly #options: SimulatedGenerationOptions<Item>;
  readonly #stride: number;
  readonly #choosing: Choosing;
  readonly #watcher: ChoosingWatcher | null;
  readonly #encodeCost = new RunCost(0.05);
  readonly #decodeCost = new RunCost(0.2);
  readonly #waiting: Record<WorkClass, Job<Item>[]> = { realtime: [], bulk: [] };
  readonly #lanes = new Map<string, Lane<Item>>();
  #encoding: Job<Item>[] = [];

  constructor(options: SimulatedGenerationOptions<Item>) {
    this.#options = options;
    this.#stride = options.stride ?? 1;
    const costs = {
      encodeUnitsWithin: (ms: number) => this.#encodeCost.unitsWithin(ms),
      encodeMs: (units: number) => this.#encodeCost.predictMs(units),
      decodeMs: (rows: number) => this.#decodeCost.predictMs(rows),
    };
    this.#choosing = new Choosing(options.limits, costs);
    this.#watcher = options.watcher?.(costs) ?? null;
  }

  add(batch: { readonly class: WorkClass }, items: readonly Item[], nowMs: number): void {
    for (const item of items) {
      const { width, rows } = item.cost;
      this.#waiting[batch.class].push({
        itemId: item.itemId,
        tokens: width,
        rows,
        receivedAtMs: nowMs,
        alone: false,
        item,
        workClass: batch.class,
        left: this.#stepsOf(item),
      });
    }
  }

  cancel(itemIds: readonly number[]): void {
    this.recall(itemIds);
    const stays = ({ itemId }: Job<Item>): boolean => !itemIds.includes(itemId);
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

  next(nowMs: number): EngineRun<Item> | null {
    let decision: RunDecision<Job<Item>>;
    const work = this.#work();
    try {
      decision = this.#choosing.decide(work, nowMs);
    } catch (error) {
      if (this.#watcher === null) throw error;
      this.#watcher.broke(`choosing threw ${String(error)}`);
      return null;
    }
    this.#watcher?.decided(decision, work, nowMs);
    if (decision.kind === "idle") return null;
    return decision.kind === "encode" ? this.#encode(decision) : this.#decode(decision);
  }

  predictedMs(nowMs: number): number {
    return this.#choosing.predictedMs(this.#work(), nowMs);
  }

  begun(): number[] {
    return this.#jobs().map(({ itemId }) => itemId);
  }

  has(itemId: number): boolean {
    const { realtime, bulk } = this.#waiting;
    return [...realtime, ...bulk, ...this.#jobs()].some((job) => job.itemId === itemId);
  }

  #stepsOf({ cost }: Item): number {
    return Math.ceil((cost.outputTokens ?? cost.width) / this.#stride);
  }

  #breaksRun(item: Item): boolean {
    return this.#options.breaksRun?.(item) ?? false;
  }

  #jobs(): Job<Item>[] {
    return [...this.#encoding, ...[...this.#lanes.values()].flatMap(({ jobs }) => jobs)];
  }

  #work(): EngineWork<Job<Item>> {
    return { waiting: this.#waiting, lanes: [...this.#lanes.values()] };
  }

  #encode(decision: Extract<RunDecision<Job<Item>>, { readonly kind: "encode" }>): EngineRun<Item> {
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
      ms: this.#options.runMs("encode", { rows, width, paddedUnits: rows * width }),
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

  #decode(
    decision: Extract<RunDecision<Job<Item>>, { readonly kind: "decode" }>,
  ): EngineRun<Item> | null {
    const lane = this.#lanes.get(decision.laneKey);
    if (lane === undefined) {
      const why = `there is no lane ${decision.laneKey}`;
      if (this.#watcher === null) throw new Error(why);
      this.#watcher.broke(why);
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
      ms: stride * this.#options.runMs("decode", { rows, width, paddedUnits: rows }),
      itemsBegin: false,
      items: jobs.map(({ item }) => item),
      finish: (ms) => {
        this.#decodeCost.learn(rows, ms);
        if (lane.jobs.some(({ item, alone }) => !alone && this.#breaksRun(item)))
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
    lane: Lane<Item>,
    { decision, ms }: { readonly decision: Ran; readonly ms: number },
  ): readonly Item[] {
    for (const job of lane.jobs)
      this.#waiting[job.workClass].push({
        ...job,
        alone: true,
        left: this.#stepsOf(job.item),
      });
    this.#keep(lane, []);
    this.#ran(decision, ms);
    return [];
  }

  #join(job: Job<Item>, width: number): void {
    const { workClass } = job;
    const crossWidth = doubledWidth(width);
    const key = job.alone ? `alone ${job.itemId}` : `${workClass} ${job.rows} ${crossWidth}`;
    const lane = this.#lanes.get(key) ?? this.#newLane(key, job, crossWidth);
    this.#lanes.set(key, lane);
    this.#keep(lane, [...lane.jobs, job]);
  }

  #newLane(key: string, { workClass, rows }: Job<Item>, crossWidth: number): Lane<Item> {
    return { key, workClass, rows: 0, beams: rows, crossWidth, jobs: [] };
  }

  #keep(lane: Lane<Item>, jobs: Job<Item>[]): void {
    lane.jobs = jobs;
    lane.rows = sum(jobs, ({ rows }) => rows);
  }

  #ran(decision: Ran, ms: number): void {
    this.#choosing.ran(decision, ms, this.#work());
    this.#watcher?.ran(decision, ms, this.#work());
  }
}
