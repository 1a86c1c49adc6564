/** The models in a made process, and an account of whose turn it is there that shares no code with the turns. */
import type { ChildFrame, FrameBatch } from "#src/frames/messages.js";
import { EngineTurns, type TurnTaker } from "#src/runtime/engine-turns.js";
import type { RunMode } from "#src/scheduler/types.js";
import {
  type EngineItem,
  type EngineRun,
  GenerationEngine,
  OneShotEngine,
  type SimEngine,
} from "./engine.js";
import { Meter } from "./meter.js";
import type { Judge } from "./rules.js";

class HostedSim implements TurnTaker {
  readonly model: string;
  readonly engine: SimEngine;
  readonly meter: Meter = new Meter();
  /** Realtime items that it has. */
  readonly realtime: Set<number> = new Set();

  constructor(model: string, engine: SimEngine) {
    this.model = model;
    this.engine = engine;
  }

  get hasRealtime(): boolean {
    return this.realtime.size > 0;
  }

  /** About what a run takes here. */
  predictedMs(): number {
    return 4;
  }
}

/** An eighth of the time is bulk's, once that pays for what a run is expected to take. */
const passedOverMsMax = 2 * 7 * 4;

class TurnsAccount {
  readonly #judge: Judge;
  #bulkInARow = 0;
  #passedOverMs = 0;

  constructor(judge: Judge) {
    this.#judge = judge;
  }

  chosen(next: HostedSim, active: readonly HostedSim[]): void {
    const isPassedOver = !next.hasRealtime && active.some(({ hasRealtime }) => hasRealtime);
    this.#bulkInARow = isPassedOver ? this.#bulkInARow + 1 : 0;
    if (this.#bulkInARow > 1)
      this.#judge("realtime waits for no job of another model", `${next.model} ran twice`);
    const bulkWaits = active.some((each) => each !== next && !each.hasRealtime);
    if (!next.hasRealtime || !bulkWaits) this.#passedOverMs = 0;
    if (this.#passedOverMs > passedOverMsMax)
      this.#judge("bulk of a model keeps its share beside others", `${this.#passedOverMs} ms`);
  }

  ran(hosted: HostedSim, ms: number): void {
    // Of a long run only what could be known before it counts.
    if (hosted.hasRealtime) this.#passedOverMs += Math.min(ms, passedOverMsMax / 2);
  }
}

/** A run that is due, and who else would have run. */
export interface HostedTurn {
  readonly hosted: HostedSim;
  readonly run: EngineRun;
  readonly active: readonly HostedSim[];
}

export class HostedSims {
  readonly #judge: Judge;
  readonly #models = new Map<string, HostedSim>();
  readonly #turns = new EngineTurns<HostedSim>();
  readonly #account: TurnsAccount;

  constructor(judge: Judge) {
    this.#judge = judge;
    this.#account = new TurnsAccount(judge);
  }

  load(model: string, mode: RunMode, rowsMax: number): void {
    const engine =
      mode === "one-shot" ? new OneShotEngine() : new GenerationEngine(rowsMax, this.#judge);
    this.#models.set(model, new HostedSim(model, engine));
  }

  unload(model: string): void {
    if (this.#models.get(model)?.engine.begun().length !== 0)
      this.#judge("what is in use is not unloaded", `${model} in a child`);
    this.#models.delete(model);
  }

  add(frame: FrameBatch, items: EngineItem[], nowMs: number): void {
    const hosted = this.#models.get(frame.model);
    if (hosted === undefined)
      return this.#judge("only what is loaded is fed", `${frame.model} in a child`);
    if (frame.class === "realtime") for (const { itemId } of items) hosted.realtime.add(itemId);
    hosted.engine.add(frame, items, nowMs);
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
  next(nowMs: number): HostedTurn | null {
    const active = [...this.#models.values()].filter(({ engine }) => engine.isBusy);
    const hosted = this.#turns.next(active);
    if (hosted === null) return null;
    this.#account.chosen(hosted, active);
    const run = hosted.engine.next(nowMs);
    return run === null ? null : { hosted, run, active };
  }

  ran({ hosted, run, active }: HostedTurn, ms: number): void {
    hosted.meter.add(run, ms);
    this.#turns.ran(hosted, ms, active);
    this.#account.ran(hosted, ms);
  }

  /** What each measured since it said so last. */
  *reports(): Generator<ChildFrame> {
    for (const { model, meter } of this.#models.values()) {
      const stages = meter.take();
      if (stages.length > 0) yield { type: "report", model, stages, cacheBytes: 0 };
    }
  }
}
