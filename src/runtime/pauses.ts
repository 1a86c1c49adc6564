/** Pauses of a long loop over pixels, so that whatever else this thread has to do comes in between. */
import { setImmediate } from "node:timers/promises";

/** A pause may cost as much as another model's run: not one for each small step. */
const turnMs = 8;

export class Pauses {
  #sinceMs: number = performance.now();

  /** Whether it is time for one. */
  get isDue(): boolean {
    return performance.now() - this.#sinceMs >= turnMs;
  }

  async make(): Promise<void> {
    await setImmediate();
    this.#sinceMs = performance.now();
  }
}
