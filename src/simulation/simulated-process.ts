/** The models in a simulated process, and whose turn it is there. */
import type { WorkClass } from "millrace-client/wire";
import type { StageReport } from "../frames/messages.js";
import { EngineTurns, type TurnTaker } from "../runtime/engine-turns.js";
import { RunMeter } from "./run-meter.js";
import type { EngineRun, SimulatedEngine, SimulatedItem } from "./simulated-engine.js";

export interface SimulatedResident<Item extends SimulatedItem = SimulatedItem> extends TurnTaker {
  readonly model: string;
  readonly engine: SimulatedEngine<Item>;
}

/** Whoever holds the turns to an account of its own. */
export interface TurnsWatcher {
  chosen(next: SimulatedResident, active: readonly SimulatedResident[]): void;
  ran(hosted: SimulatedResident, ms: number): void;
  broke(why: string): void;
}

class Hosted<Item extends SimulatedItem> implements SimulatedResident<Item> {
  readonly model: string;
  readonly engine: SimulatedEngine<Item>;
  readonly meter: RunMeter = new RunMeter();
  /** Realtime items that it has. */
  readonly realtime: Set<number> = new Set();
  readonly predictedMs: () => number;

  constructor(model: string, engine: SimulatedEngine<Item>, predictedMs: () => number) {
    this.model = model;
    this.engine = engine;
    this.predictedMs = predictedMs;
  }

  get hasRealtime(): boolean {
    return this.realtime.size > 0;
  }
}

/** A run that is due, and who else would have run. */
export interface HostedTurn<Item extends SimulatedItem = SimulatedItem> {
  readonly hosted: SimulatedResident<Item>;
  readonly run: EngineRun<Item>;
  readonly active: readonly SimulatedResident<Item>[];
}

export interface SimulatedProcessOptions {
  readonly now: () => number;
  readonly watcher?: TurnsWatcher;
  /** Of any run, where engines are not to be asked. */
  readonly predictedMs?: number;
}

interface AddedBatch {
  readonly model: string;
  readonly batchId: number;
  readonly class: WorkClass;
}

export class SimulatedProcess<Item extends SimulatedItem> {
  readonly #options: SimulatedProcessOptions;
  readonly #models = new Map<string, Hosted<Item>>();
  readonly #turns = new EngineTurns<Hosted<Item>>();

  constructor(options: SimulatedProcessOptions) {
    this.#options = options;
  }

  load(model: string, engine: SimulatedEngine<Item>): void {
    const { now, predictedMs } = this.#options;
    const expectedMs = () => predictedMs ?? engine.predictedMs(now());
    this.#models.set(model, new Hosted(model, engine, expectedMs));
  }

  unload(model: string): void {
    if (this.#models.get(model)?.engine.begun().length !== 0)
      this.#broke(`${model} is unloaded and in use`);
    this.#models.delete(model);
  }

  add(batch: AddedBatch, items: readonly Item[]): void {
    const hosted = this.#models.get(batch.model);
    if (hosted === undefined) return this.#broke(`${batch.model} is fed and not loaded`);
    if (batch.class === "realtime") for (const { itemId } of items) hosted.realtime.add(itemId);
    hosted.engine.add(batch, items, this.#options.now());
  }

  has(itemId: number): boolean {
    return [...this.#models.values()].some(({ engine }) => engine.has(itemId));
  }

  begun(): number[] {
    return [...this.#models.values()].flatMap(({ engine }) => engine.begun());
  }

  cancel(itemIds: readonly number[]): void {
    for (const { engine } of this.#models.values()) engine.cancel(itemIds);
    this.gone(itemIds);
  }

  /** Those that nobody had begun. */
  recall(itemIds: readonly number[]): number[] {
    const taken = [...this.#models.values()].flatMap(({ engine }) => engine.recall(itemIds));
    this.gone(taken);
    return taken;
  }

  gone(itemIds: readonly number[]): void {
    for (const { realtime } of this.#models.values())
      for (const itemId of itemIds) realtime.delete(itemId);
  }

  /** Null where there is nothing to run. */
  next(): HostedTurn<Item> | null {
    const active = [...this.#models.values()].filter(({ engine }) => engine.isBusy);
    const hosted = this.#turns.next(active);
    if (hosted === null) return null;
    this.#options.watcher?.chosen(hosted, active);
    const run = hosted.engine.next(this.#options.now());
    return run === null ? null : { hosted, run, active };
  }

  ran({ hosted, run, active }: HostedTurn<Item>, ms: number): void {
    const own = this.#models.get(hosted.model);
    if (own === undefined) return;
    own.meter.add(run, ms);
    const others = active.flatMap(({ model }) => this.#models.get(model) ?? []);
    this.#turns.ran(own, ms, others);
    this.#options.watcher?.ran(hosted, ms);
  }

  /** What each measured since it said so last. */
  *reports(): Generator<{ readonly model: string; readonly stages: readonly StageReport[] }> {
    for (const { model, meter } of this.#models.values()) {
      const stages = meter.take();
      if (stages.length > 0) yield { model, stages };
    }
  }

  #broke(why: string): void {
    const { watcher } = this.#options;
    if (watcher === undefined) throw new Error(why);
    watcher.broke(why);
  }
}
