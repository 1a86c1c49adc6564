/**
 * Work that must not hold the event loop, a slice a turn, in the order in which it came: between two slices everybody else
 * has their turn.
 */
import type { Clock } from "../../work/clock.js";

export class Slices {
  readonly #clock: Clock;
  #waiting: (() => void)[] = [];
  #cancel: (() => void) | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(slice: () => void): void {
    this.#waiting.push(slice);
    this.#schedule();
  }

  /** Does all of it now. */
  flush(): void {
    this.#cancel?.();
    this.#cancel = null;
    for (let slice = this.#waiting.shift(); slice !== undefined; slice = this.#waiting.shift()) {
      slice();
    }
  }

  #schedule(): void {
    if (this.#cancel !== null || this.#waiting.length === 0) return;
    this.#cancel = this.#clock.after(0, () => {
      this.#cancel = null;
      this.#waiting.shift()?.();
      this.#schedule();
    });
  }
}
