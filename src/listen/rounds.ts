/**
 * How much goes over all sockets before anything else gets its turn: one for the bodies over HTTP and the messages of WebSockets that
 * are read. libuv reads up to 2 MiB from each socket that has them, and accepts one connection a round: with three hundred uploads a
 * round takes half a second, and whoever connects waits behind three hundred of them, `/live` too.
 *
 *   a chunk ─► still within the round's share? go on
 *              else its rester rests ─► #resting ─► a share's worth of them, in turn, each round
 */

/** A few milliseconds. */
const roundBytesMax = 1024 * 1024;

/** Whose bytes they are. */
export interface Rester {
  /** From now on none of them goes, until `wake`. */
  rest(): void;
  wake(): void;
}

export class Rounds {
  /** In the order in which they went to rest, with what their last turn cost, which was under way. */
  readonly #resting = new Map<Rester, number>();
  #roundBytes = 0;
  #isNextDue = false;

  /** For each chunk, by what it costs in bytes that could be copied meanwhile. */
  took(rester: Rester, cost: number): void {
    this.#roundBytes += cost;
    this.#plan();
    if (this.#roundBytes <= roundBytesMax) return;
    const before = this.#resting.get(rester);
    this.#resting.set(rester, (before ?? 0) + cost);
    if (before === undefined) rester.rest();
  }

  /** It is not there any more, and is not woken. */
  forget(rester: Rester): void {
    this.#resting.delete(rester);
  }

  #plan(): void {
    if (this.#isNextDue) return;
    this.#isNextDue = true;
    setImmediate(() => this.#begin());
  }

  /** The next turn of each is taken to cost what the last one did; the first of a round always gets it. */
  #begin(): void {
    this.#isNextDue = false;
    this.#roundBytes = 0;
    let left = roundBytesMax;
    for (const [rester, cost] of this.#resting) {
      if (left <= 0) break;
      left -= cost;
      this.#resting.delete(rester);
      rester.wake();
    }
    if (this.#resting.size > 0) this.#plan();
  }
}
