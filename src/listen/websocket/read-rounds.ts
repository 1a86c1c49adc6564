/**
 * How much all connections together are read before anything else gets its turn, as read-turns.ts of HTTP has it for bodies:
 * one that sends without end would else be read, chunk by chunk, while others wait.
 */

/** A few milliseconds. */
const roundBytesMax = 1024 * 1024;

export interface Readable {
  /** From now on nothing is read of it, until `wake`. */
  rest(): void;
  wake(): void;
}

export class ReadRounds {
  /** In the order in which they went to rest. */
  readonly #resting = new Set<Readable>();
  #roundBytes = 0;
  #isNextDue = false;

  /** For each chunk, by what it costs. */
  took(reader: Readable, cost: number): void {
    this.#roundBytes += cost;
    this.#plan();
    if (this.#roundBytes <= roundBytesMax || this.#resting.has(reader)) return;
    this.#resting.add(reader);
    reader.rest();
  }

  forget(reader: Readable): void {
    this.#resting.delete(reader);
  }

  #plan(): void {
    if (this.#isNextDue) return;
    this.#isNextDue = true;
    setImmediate(() => this.#begin());
  }

  /** A socket's read is 64 KiB at the most: so many of them are woken as a round has room for. */
  #begin(): void {
    this.#isNextDue = false;
    this.#roundBytes = 0;
    let left = roundBytesMax / readBytesMax;
    for (const reader of this.#resting) {
      if (left === 0) break;
      left -= 1;
      this.#resting.delete(reader);
      reader.wake();
    }
    if (this.#resting.size > 0) this.#plan();
  }
}

const readBytesMax = 64 * 1024;
