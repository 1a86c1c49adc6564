/**
 * How much all connections together are read, or written, before anything else gets its turn, as read-turns.ts of HTTP has it
 * for bodies: one that sends without end would else be read, chunk by chunk, while others wait; and one message to a thousand
 * connections would be written to all of them.
 */

/** A few milliseconds. */
const roundBytesMax = 1024 * 1024;

export interface Rester {
  /** From now on nothing is read of it, or written to it, until `wake`. */
  rest(): void;
  wake(): void;
}

export class Rounds {
  /** In the order in which they went to rest. */
  readonly #resting = new Set<Rester>();
  #roundBytes = 0;
  #isNextDue = false;

  /** For each chunk, by what it costs. */
  took(rester: Rester, cost: number): void {
    this.#roundBytes += cost;
    this.#plan();
    if (this.#roundBytes <= roundBytesMax || this.#resting.has(rester)) return;
    this.#resting.add(rester);
    rester.rest();
  }

  forget(rester: Rester): void {
    this.#resting.delete(rester);
  }

  #plan(): void {
    if (this.#isNextDue) return;
    this.#isNextDue = true;
    setImmediate(() => this.#begin());
  }

  /** A socket's read is 64 KiB at the most, and so is what it may hold: so many of them are woken as a round has room for. */
  #begin(): void {
    this.#isNextDue = false;
    this.#roundBytes = 0;
    let left = roundBytesMax / turnBytesMax;
    for (const rester of this.#resting) {
      if (left === 0) break;
      left -= 1;
      this.#resting.delete(rester);
      rester.wake();
    }
    if (this.#resting.size > 0) this.#plan();
  }
}

const turnBytesMax = 64 * 1024;
