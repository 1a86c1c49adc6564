/**
 * How much of all that callers send is read before anything else gets its turn: bodies over HTTP and messages of WebSockets
 * together. libuv reads up to 2 MiB from each socket that has them, and accepts one connection a round: with three hundred uploads a
 * round takes half a second, and whoever connects waits behind three hundred of them, `/live` too.
 *
 *   a chunk ─► still within the round's share? go on
 *              else its sender rests ─► #resting ─► a share's worth of them, in turn, each round
 */

/** A few milliseconds. */
const roundBytesMax = 1024 * 1024;
/** What it costs to be told of a chunk, in bytes that could be copied meanwhile: they may come byte by byte. */
const chunkCostBytes = 256;

/** Whose bytes are read. */
export interface Sender {
  /** From now on nothing is read of it, until `wake`. */
  rest(): void;
  wake(): void;
}

export class ReadTurns {
  /** In the order in which they went to rest, with what came of their last read, which was under way. */
  readonly #resting = new Map<Sender, number>();
  #roundBytes = 0;
  #isNextDue = false;

  /** By whoever reads, for each chunk. */
  took(sender: Sender, bytes: number): void {
    const cost = bytes + chunkCostBytes;
    this.#roundBytes += cost;
    this.#plan();
    if (this.#roundBytes <= roundBytesMax) return;
    const before = this.#resting.get(sender);
    this.#resting.set(sender, (before ?? 0) + cost);
    if (before === undefined) sender.rest();
  }

  /** It is not there any more, and is not woken. */
  forget(sender: Sender): void {
    this.#resting.delete(sender);
  }

  #plan(): void {
    if (this.#isNextDue) return;
    this.#isNextDue = true;
    setImmediate(() => this.#begin());
  }

  /** The next read of a sender is taken to cost what the last one did; the first of a round always gets it. */
  #begin(): void {
    this.#isNextDue = false;
    this.#roundBytes = 0;
    let left = roundBytesMax;
    for (const [sender, cost] of this.#resting) {
      if (left <= 0) break;
      left -= cost;
      this.#resting.delete(sender);
      sender.wake();
    }
    if (this.#resting.size > 0) this.#plan();
  }
}
