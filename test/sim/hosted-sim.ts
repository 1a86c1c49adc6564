/** A model in a made process, and an account of whose turn it is there that shares no code with the turns. */
import type { TurnTaker } from "#src/runtime/engine-turns.js";
import type { SimEngine } from "./engine.js";
import { Meter } from "./meter.js";
import type { Judge } from "./rules.js";

export class HostedSim implements TurnTaker {
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

export class TurnsAccount {
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
