/**
 * The loop inside a pipeline for models of stages: whatever waits for a stage runs in batches, and what comes out waits for
 * another stage or is the item's outcome.
 *
 *   admit ─► begin ─► waiting at its first stage ── run ─► waiting at the next ── run ─► gather ─► finish ─► outcome
 *               │                │                  │
 *               │                │                  └─ the run fails: halves of it; one alone: failed
 *               │                └─ recall
 *               └─ not one of this model's: failed at once
 *
 * A step starts thread stages that have room, then makes one run of a session. Which: choosing.ts.
 */
import { type WorkClass, workClasses } from "millrace-client/wire";
import type { FrameItem, FrameOutcome, StageReport } from "../../frames/messages.js";
import { usualRowsMax } from "../../models/engine-definition.js";
import { elementsOf, type Payload, tensorArrays } from "../../work/payload.js";
import type { Engine, EngineEvents } from "../engine.js";
import { failed } from "../failed-outcome.js";
import { usualBulkShare } from "../owed-share.js";
import { RunCost } from "../run-cost.js";
import { type MeasuredRun, StageMeter } from "../stage-meter.js";
import { type Branch, endBranch, problemOf, type StagedItem, startBranch } from "./active-item.js";
import { StageChoosing, type StagedLimits, type StagedWork, type StageRun } from "./choosing.js";
import type { Program, Stage, StageInput, StageResult, StageResultValue } from "./program.js";

export type StagedEngineOptions = StagedLimits;

export const stagedEngineDefaults: StagedEngineOptions = {
  rowsMax: usualRowsMax,
  realtimeRunMs: 50,
  bulkRunMs: 100,
  bulkBesideRealtimeMs: 15,
  bulkShare: usualBulkShare,
  gatherMs: 200,
  heldBytesMax: 256 * 1024 * 1024,
};

/** Answers for a stage until its first run has ended, which a warm-up makes. */
const priorMsPerUnit = 0.05;

interface StageQueues {
  readonly waiting: Record<WorkClass, Branch[]>;
  readonly busy: Record<WorkClass, { rows: number; units: number }>;
}

export class StagedEngine implements Engine {
  readonly #program: Program;
  readonly #events: EngineEvents;
  readonly #stages: readonly StageQueues[];
  readonly #costs: readonly RunCost[];
  readonly #choosing: StageChoosing;
  readonly #runMs: Readonly<Record<WorkClass, number>>;
  readonly #meter = new StageMeter();
  /** Those that have no outcome yet, by id. */
  readonly #items = new Map<number, StagedItem>();
  /** Those of them that a run was announced with: if the process dies, they are suspects. */
  readonly #begun = new Set<number>();
  #waitingInputs = 0;
  #running = 0;
  #heldBytes = 0;
  #groups = 0;
  #resting = false;
  #wake: () => void = () => {};

  constructor(
    program: Program,
    events: EngineEvents,
    options: StagedEngineOptions = stagedEngineDefaults,
  ) {
    this.#program = program;
    this.#events = events;
    this.#stages = program.stages.map(() => ({
      waiting: { realtime: [], bulk: [] },
      busy: { realtime: { rows: 0, units: 0 }, bulk: { rows: 0, units: 0 } },
    }));
    this.#costs = program.stages.map(() => new RunCost(priorMsPerUnit));
    this.#runMs = { realtime: options.realtimeRunMs, bulk: options.bulkRunMs };
    this.#choosing = new StageChoosing(program.stages, options, {
      unitsWithin: (stage, ms) => this.#unitsWithin(stage, ms),
      predictMs: (stage, units) => this.#costOf(stage).predictMs(units),
    });
  }

  admit(workClass: WorkClass, items: readonly FrameItem[]): void {
    const refused: FrameOutcome[] = [];
    for (const item of items) {
      const begun = this.#begin(item, workClass);
      if ("error" in begun) {
        refused.push(failed(item, begun.error));
        continue;
      }
      const { itemId } = item;
      const active = { itemId, workClass, begun: false, gone: false };
      this.#items.set(itemId, active);
      const start = { item: active, input: begun.input, place: null, nowMs: performance.now() };
      this.#enqueue([startBranch(start)]);
    }
    if (refused.length > 0) this.#events.onOutcomes(refused);
    this.#wake();
  }

  cancel(itemIds: readonly number[]): void {
    for (const itemId of itemIds) {
      const item = this.#items.get(itemId);
      if (item !== undefined) this.#leave(item);
    }
    this.#dropGone();
  }

  recall(itemIds: readonly number[]): number[] {
    const recalled = itemIds.filter((itemId) => {
      const item = this.#items.get(itemId);
      if (item === undefined || item.begun) return false;
      this.#leave(item);
      return true;
    });
    this.#dropGone();
    return recalled;
  }

  get idle(): boolean {
    return this.#waitingInputs === 0 && this.#running === 0;
  }

  /** False: all that is in it waits for threads, and a step would wait with it. */
  get runnable(): boolean {
    const work = this.#work;
    if (this.#choosing.nextStart(work) !== null) return true;
    return this.#choosing.decide(work, performance.now()) !== null;
  }

  wake(): void {
    this.#wake();
  }

  rest(resting: boolean): void {
    this.#resting = resting;
  }

  async step(): Promise<void> {
    this.#startThreads();
    const run = this.#choosing.decide(this.#work, performance.now());
    if (run !== null) {
      const startedAtMs = performance.now();
      await this.#runSession(run);
      this.#choosing.ran(run, performance.now() - startedAtMs, this.#work);
    } else if (this.#running > 0) {
      // Only threads work: a step ends with the first of them, or when there is something else to do.
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    } else if (!this.idle) {
      throw new Error("inputs wait, and none of them may run");
    }
    this.#startThreads();
  }

  predictedMs(): number {
    const run = this.#choosing.decide(this.#work, performance.now());
    return run === null ? 0 : this.#costOf(run.stage).predictMs(run.paddedUnits);
  }

  begunItemIds(): number[] {
    return [...this.#begun];
  }

  takeReport(): readonly StageReport[] {
    return this.#meter.take();
  }

  get memoryBytes(): number {
    return this.#heldBytes;
  }

  /** Gives the model's memory back. The engine idles, and is not used any more. */
  async release(): Promise<void> {
    await this.#program.release();
  }

  get #work(): StagedWork<Branch> {
    return { stages: this.#stages, heldBytes: this.#heldBytes, running: this.#running };
  }

  // ── Ways in ───────────────────────────────────────────────────────────────────────────────────────────────────

  #begin(
    { payload }: FrameItem,
    workClass: WorkClass,
  ): { readonly input: StageInput } | { readonly error: unknown } {
    const ms = this.#runMs[workClass];
    try {
      const input = this.#program.begin(payload, (stage) => this.#unitsWithin(stage, ms));
      const problem = typeof input === "string" ? input : problemOf(input, this.#stages.length);
      if (typeof input !== "string" && problem === null) return { input };
      return { error: new Error(problem ?? "the item is not one of this model's") };
    } catch (error) {
      return { error };
    }
  }

  #enqueue(branches: readonly Branch[]): void {
    for (const branch of branches) {
      this.#queuesOf(branch.stage).waiting[branch.item.workClass].push(branch);
      this.#waitingInputs += 1;
      if (!branch.isFirst) this.#heldBytes += branch.cost.bytes;
    }
  }

  // ── Runs ──────────────────────────────────────────────────────────────────────────────────────────────────────

  async #runSession(run: StageRun<Branch>): Promise<void> {
    const { stage, chunk, rows, width, paddedUnits, workClass } = run;
    const { name } = this.#stageOf(stage);
    const itemsBegin = this.#take(stage, workClass, chunk);
    const predictedMs = this.#costOf(stage).predictMs(paddedUnits);
    this.#events.onRun({ stage: name, rows, width, predictedMs, itemsBegin });
    const startedAtMs = performance.now();
    const results = await this.#results(stage, chunk);
    const ms = performance.now() - startedAtMs;
    if ("error" in results && chunk.length > 1) return this.#again(run);
    if (!("error" in results)) {
      this.#costOf(stage).learn(paddedUnits, ms);
      const units = chunk.reduce((sum, { cost }) => sum + cost.units, 0);
      this.#measure(name, { rows, units, paddedUnits, ms });
    }
    this.#end(chunk, results);
  }

  /** As many as may: what they make shall be there when a session wants it. */
  #startThreads(): void {
    while (!this.#resting) {
      const start = this.#choosing.nextStart(this.#work);
      if (start === null) return;
      const { stage, workClass, input } = start;
      const busy = this.#queuesOf(stage).busy[workClass];
      const { rows, units, width } = input.cost;
      const itemsBegin = this.#take(stage, workClass, [input]);
      busy.rows += rows;
      busy.units += units;
      this.#choosing.started(start, this.#work);
      const { name } = this.#stageOf(stage);
      const predictedMs = this.#costOf(stage).predictMs(units);
      this.#events.onRun({ stage: name, rows, width, predictedMs, itemsBegin });
      const startedAtMs = performance.now();
      void this.#results(stage, [input]).then((results) => {
        const ms = performance.now() - startedAtMs;
        busy.rows -= rows;
        busy.units -= units;
        if (!("error" in results)) {
          this.#costOf(stage).learn(units, ms);
          this.#measure(name, { rows, units, paddedUnits: units, ms });
        }
        this.#end([input], results);
        this.#startThreads();
        this.#wake();
      });
    }
  }

  /** Whole units are reported, whatever padding makes of them. */
  #measure(stage: string, run: MeasuredRun): void {
    const { units, paddedUnits } = run;
    const whole = { units: Math.round(units), paddedUnits: Math.round(paddedUnits) };
    this.#meter.add(stage, { ...run, ...whole });
  }

  /** Never rejects. */
  async #results(
    stage: number,
    chunk: readonly Branch[],
  ): Promise<readonly StageResult[] | { readonly error: unknown }> {
    const at = this.#stageOf(stage);
    try {
      const results = await at.run(chunk.map(({ input }) => input));
      if (results.length === chunk.length) return results;
      const error = `stage ${at.name} gave ${results.length} results for ${chunk.length} inputs`;
      return { error: new Error(error) };
    } catch (error) {
      return { error };
    }
  }

  /** Out of the queue and into a run; whether an item begins with it. */
  #take(stage: number, workClass: WorkClass, chunk: readonly Branch[]): boolean {
    const { waiting } = this.#queuesOf(stage);
    const taken = new Set(chunk);
    waiting[workClass] = waiting[workClass].filter((branch) => !taken.has(branch));
    this.#waitingInputs -= chunk.length;
    this.#running += chunk.length;
    let itemsBegin = false;
    for (const { item, makesBytes } of chunk) {
      this.#heldBytes += makesBytes;
      if (item.begun) continue;
      item.begun = true;
      this.#begun.add(item.itemId);
      itemsBegin = true;
    }
    return itemsBegin;
  }

  #leaveRun(chunk: readonly Branch[]): void {
    this.#running -= chunk.length;
    for (const { makesBytes } of chunk) this.#heldBytes -= makesBytes;
  }

  /** One bad input fails alone: a run that throws is tried again in halves, before others of its class. */
  #again({ stage, chunk, workClass }: StageRun<Branch>): void {
    this.#leaveRun(chunk);
    const middle = chunk.length >> 1;
    const halves = [chunk.slice(0, middle), chunk.slice(middle)].flatMap((half) => {
      this.#groups += 1;
      const group = this.#groups;
      return half.map((branch): Branch => ({ ...branch, group }));
    });
    const { waiting } = this.#queuesOf(stage);
    waiting[workClass] = [...halves, ...waiting[workClass]];
    this.#waitingInputs += halves.length;
    this.#dropGone();
  }

  /** The results of a run, or why an input that was alone has none. */
  #end(
    chunk: readonly Branch[],
    results: readonly StageResult[] | { readonly error: unknown },
  ): void {
    this.#leaveRun(chunk);
    const outcomes: FrameOutcome[] = [];
    for (const [index, branch] of chunk.entries()) {
      const { item, isFirst, cost } = branch;
      if (!isFirst) this.#heldBytes -= cost.bytes;
      if (item.gone) continue;
      const result = "error" in results ? failure(results.error) : results[index];
      const at = { stages: this.#stages.length, nowMs: performance.now() };
      const end = endBranch(branch, result ?? failure("it has no result"), at);
      if (end.kind === "next") this.#enqueue(end.branches);
      if (end.kind !== "result") continue;
      this.#leave(item);
      outcomes.push(this.#outcomeOf(item, end.result));
    }
    if (outcomes.length > 0) this.#events.onOutcomes(outcomes);
  }

  // ── Ways out ──────────────────────────────────────────────────────────────────────────────────────────────────

  #outcomeOf(item: StagedItem, result: StageResultValue): FrameOutcome {
    if (!result.ok) return failed(item, result.error);
    try {
      const value = this.#program.finish(result.value);
      checkPayload(value);
      return { itemId: item.itemId, ok: true, value };
    } catch (error) {
      return failed(item, error);
    }
  }

  #leave(item: StagedItem): void {
    item.gone = true;
    this.#items.delete(item.itemId);
    // Also while a run has something of it: the parent has forgotten it, and takes an announcement with it for a lie.
    this.#begun.delete(item.itemId);
  }

  /** What waits of items that nobody waits for. */
  #dropGone(): void {
    for (const { waiting } of this.#stages) {
      for (const workClass of workClasses) {
        if (!waiting[workClass].some(({ item }) => item.gone)) continue;
        waiting[workClass] = waiting[workClass].filter(({ item, isFirst, cost }) => {
          if (!item.gone) return true;
          this.#waitingInputs -= 1;
          if (!isFirst) this.#heldBytes -= cost.bytes;
          return false;
        });
      }
    }
  }

  /** A run that is mostly its start keeps others waiting as well, and is worth less. */
  #unitsWithin(stage: number, ms: number): number {
    const cost = this.#costOf(stage);
    return cost.unitsWithin(Math.max(ms, 2 * cost.fixedMs));
  }

  #costOf(stage: number): RunCost {
    return entryOf(this.#costs, stage);
  }

  #queuesOf(stage: number): StageQueues {
    return entryOf(this.#stages, stage);
  }

  #stageOf(stage: number): Stage {
    return entryOf(this.#program.stages, stage);
  }
}

function entryOf<Entry>(list: readonly Entry[], index: number): Entry {
  const entry = list[index];
  if (entry === undefined) throw new Error(`there is no stage ${index}`);
  return entry;
}

function failure(error: unknown): StageResult {
  return { kind: "failed", error };
}

/** That it can be sent: what a program made wrong shall not end the process that others' items are in. */
function checkPayload({ values, tensors }: Payload): void {
  JSON.stringify(values);
  for (const [name, { type, shape, data }] of Object.entries(tensors)) {
    if (!(data instanceof tensorArrays[type]) || elementsOf(shape) !== data.length) {
      throw new Error(`the program gave a tensor ${name} that is not ${type} [${shape.join()}]`);
    }
  }
}
