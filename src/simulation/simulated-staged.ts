/**
 * An engine of stages: packs what waits for a stage with the real engine's rules. What an item becomes on its way is not known before it is
 * run, so each stage gets of it what items were on an average: one row each, and so many units for each of its own.
 */
import type { WorkClass } from "millrace-client/wire";
import { RunCost } from "../runtime/run-cost.js";
import {
  StageChoosing,
  type StagedLimits,
  type StagedWork,
  type StageRun,
  type WaitingInput,
} from "../runtime/staged/choosing.js";
import type { Cost } from "../work/cost.js";
import {
  type EngineRun,
  type RunMs,
  type SimulatedEngine,
  type SimulatedItem,
  sum,
} from "./simulated-engine.js";

export interface SimulatedStage {
  readonly name: string;
  /** Of it for each unit, and for each row, of the item. */
  readonly unitsEach: number;
  readonly rowsEach: number;
}

export interface SimulatedStagedOptions {
  /** In the order in which an item goes through them. */
  readonly stages: readonly SimulatedStage[];
  readonly limits: StagedLimits;
  readonly runMs: RunMs;
}

interface Waiting<Item> extends WaitingInput {
  readonly item: Item;
  readonly stage: number;
}

type Queues<Item> = Record<WorkClass, Waiting<Item>[]>;

const nothingBusy = { realtime: { rows: 0, units: 0 }, bulk: { rows: 0, units: 0 } };

export class SimulatedStaged<Item extends SimulatedItem> implements SimulatedEngine<Item> {
  readonly #options: SimulatedStagedOptions;
  readonly #costs: readonly RunCost[];
  readonly #choosing: StageChoosing;
  readonly #stages: readonly Queues<Item>[];
  #running: readonly Waiting<Item>[] = [];
  #begun = new Set<number>();

  constructor(options: SimulatedStagedOptions) {
    this.#options = options;
    this.#costs = options.stages.map(() => new RunCost(0.05));
    this.#stages = options.stages.map(() => ({ realtime: [], bulk: [] }));
    const { rowsMax } = options.limits;
    const form = { kind: "session", limits: { rowsMax, paddedUnitsMax: Infinity } } as const;
    const forms = options.stages.map(() => form);
    this.#choosing = new StageChoosing(forms, options.limits, {
      unitsWithin: (stage, ms) => this.#unitsWithin(stage, ms),
      predictMs: (stage, units) => this.#costOf(stage).predictMs(units),
    });
  }

  add(batch: { readonly class: WorkClass }, items: readonly Item[], nowMs: number): void {
    for (const item of items) this.#enqueue(batch.class, this.#waiting(item, 0, nowMs));
  }

  cancel(itemIds: readonly number[]): void {
    const gone = new Set(itemIds);
    this.#drop(({ item }) => gone.has(item.itemId));
    this.#running = this.#running.filter(({ item }) => !gone.has(item.itemId));
    for (const itemId of itemIds) this.#begun.delete(itemId);
  }

  recall(itemIds: readonly number[]): number[] {
    const wanted = new Set(itemIds.filter((itemId) => !this.#begun.has(itemId)));
    return this.#drop(({ item }) => wanted.has(item.itemId));
  }

  get isBusy(): boolean {
    return this.#all().length > 0;
  }

  next(nowMs: number): EngineRun<Item> | null {
    const decided = this.#choosing.decide(this.#work, nowMs);
    if (decided === null) return null;
    const { stage, workClass, chunk, rows, width, paddedUnits } = decided;
    const taken = new Set(chunk);
    const queues = this.#stages[stage];
    if (queues !== undefined)
      queues[workClass] = queues[workClass].filter((each) => !taken.has(each));
    this.#running = chunk;
    const { name } = this.#stageOf(stage);
    const itemsBegin = chunk.some(({ item }) => !this.#begun.has(item.itemId));
    for (const { item } of chunk) this.#begun.add(item.itemId);
    return {
      stage: name,
      runs: 1,
      rows,
      width,
      units: Math.round(sum(chunk, ({ cost }) => cost.units)),
      paddedUnits: Math.round(paddedUnits),
      ms: this.#options.runMs(name, { rows, width, paddedUnits }),
      itemsBegin,
      items: chunk.map(({ item }) => item),
      finish: (ms, endMs) => this.#finish(decided, ms, endMs),
    };
  }

  predictedMs(nowMs: number): number {
    const run = this.#choosing.decide(this.#work, nowMs);
    return run === null ? 0 : this.#costOf(run.stage).predictMs(run.paddedUnits);
  }

  begun(): number[] {
    return [...this.#begun];
  }

  has(itemId: number): boolean {
    return [...this.#running, ...this.#all()].some(({ item }) => item.itemId === itemId);
  }

  #finish(run: StageRun<Waiting<Item>>, ms: number, nowMs: number): readonly Item[] {
    const { stage, workClass, paddedUnits } = run;
    this.#costOf(stage).learn(paddedUnits, ms);
    const through = this.#running;
    this.#running = [];
    const isLast = stage === this.#options.stages.length - 1;
    for (const { item } of through) {
      if (isLast) this.#begun.delete(item.itemId);
      else this.#enqueue(workClass, this.#waiting(item, stage + 1, nowMs));
    }
    this.#choosing.ran(run, ms, this.#work);
    return isLast ? through.map(({ item }) => item) : [];
  }

  #waiting(item: Item, stage: number, nowMs: number): Waiting<Item> {
    const { unitsEach, rowsEach } = this.#stageOf(stage);
    const { units, width, rows } = item.cost;
    const cost: Cost = {
      units: units * unitsEach,
      width: width * unitsEach,
      rows: Math.max(1, Math.round(rows * rowsEach)),
      bytes: 0,
      batchKey: "",
    };
    return { item, stage, cost, makesBytes: 0, isFirst: stage === 0, sinceMs: nowMs, group: null };
  }

  #enqueue(workClass: WorkClass, waiting: Waiting<Item>): void {
    this.#stages[waiting.stage]?.[workClass].push(waiting);
  }

  /** The ids of what went. */
  #drop(goes: (waiting: Waiting<Item>) => boolean): number[] {
    const gone: number[] = [];
    for (const queues of this.#stages) {
      for (const workClass of ["realtime", "bulk"] as const) {
        queues[workClass] = queues[workClass].filter((each) => {
          const isGoing = goes(each);
          if (isGoing) gone.push(each.item.itemId);
          return !isGoing;
        });
      }
    }
    return gone;
  }

  #all(): readonly Waiting<Item>[] {
    return this.#stages.flatMap(({ realtime, bulk }) => [...realtime, ...bulk]);
  }

  get #work(): StagedWork<Waiting<Item>> {
    const stages = this.#stages.map((waiting) => ({ waiting, busy: nothingBusy }));
    return { stages, heldBytes: 0, running: this.#running.length };
  }

  /** As the real engine has it: a run that is mostly its start keeps others waiting as well, and is worth less. */
  #unitsWithin(stage: number, ms: number): number {
    const cost = this.#costOf(stage);
    return cost.unitsWithin(Math.max(ms, 2 * cost.fixedMs));
  }

  #costOf(stage: number): RunCost {
    const cost = this.#costs[stage];
    if (cost === undefined) throw new Error(`there is no stage ${stage}`);
    return cost;
  }

  #stageOf(stage: number): SimulatedStage {
    const found = this.#options.stages[stage];
    if (found === undefined) throw new Error(`there is no stage ${stage}`);
    return found;
  }
}
