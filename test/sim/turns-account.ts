/** An account of whose turn it is in a simulated process that shares no code with the turns. */
import type { SimulatedResident, TurnsWatcher } from "#src/simulation/simulated-process.js";
import type { Judge } from "./rules.js";

/** What every run is expected to take here. */
export const predictedMs = 4;

/** An eighth of the time is bulk's, once that pays for what a run is expected to take. */
const passedOverMsMax = 2 * 7 * predictedMs;

export class TurnsAccount implements TurnsWatcher {
  readonly #judge: Judge;
  #bulkInARow = 0;
  #passedOverMs = 0;

  constructor(judge: Judge) {
    this.#judge = judge;
  }

  chosen(next: SimulatedResident, active: readonly SimulatedResident[]): void {
    const isPassedOver = !next.hasRealtime && active.some(({ hasRealtime }) => hasRealtime);
    this.#bulkInARow = isPassedOver ? this.#bulkInARow + 1 : 0;
    if (this.#bulkInARow > 1)
      this.#judge("realtime waits for no job of another model", `${next.model} ran twice`);
    const bulkWaits = active.some((each) => each !== next && !each.hasRealtime);
    if (!next.hasRealtime || !bulkWaits) this.#passedOverMs = 0;
    if (this.#passedOverMs > passedOverMsMax)
      this.#judge("bulk of a model keeps its share beside others", `${this.#passedOverMs} ms`);
  }

  broke(why: string): void {
    this.#judge("no promise inside is broken", why);
  }

  ran(hosted: SimulatedResident, ms: number): void {
    // Of a long run only what could be known before it counts.
    if (hosted.hasRealtime) this.#passedOverMs += Math.min(ms, passedOverMsMax / 2);
  }
}
