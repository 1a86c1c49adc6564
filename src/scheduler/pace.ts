/** Share of the past that each outcome leaves standing: about the last thirty count. */
const keep = 0.97;

/**
 * How long a pipeline takes for a row of a model: from outcome to outcome, while it always has something of it. Lines learned of
 * stages do not say that where stages overlap, and where each counts other units; and a process that hosts several models
 * takes turns.
 */
export class Pace {
  #rows = 0;
  #ms = 0;

  learn(rows: number, ms: number): void {
    this.#rows = this.#rows * keep + rows;
    this.#ms = this.#ms * keep + ms;
  }

  /** Rows that a pipeline is through with in so many milliseconds; `Infinity` before anything was seen. */
  rowsWithin(ms: number): number {
    return this.#ms > 0 ? (ms * this.#rows) / this.#ms : Infinity;
  }
}
