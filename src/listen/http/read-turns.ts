/**
 * How much of all bodies is read before anything else gets its turn. libuv reads up to 2 MiB from each socket that has
 * them, and accepts one connection a round: with three hundred uploads a round takes half a second, and whoever
 * connects waits behind three hundred of them, `/live` too.
 *
 *   a chunk ─► still within the round's share? go on
 *              else its socket rests ─► #resting ─► a share's worth of them, in turn, each round
 */
import type { IncomingMessage } from "node:http";

/** A few milliseconds. */
const roundBytesMax = 1024 * 1024;
/** What it costs to be told of a chunk, in bytes that could be copied meanwhile: bodies may come byte by byte. */
const chunkCostBytes = 256;

export class ReadTurns {
  /** In the order in which they went to rest, with what came of their last read, which was under way. */
  readonly #resting = new Map<IncomingMessage, number>();
  #roundBytes = 0;
  #isNextDue = false;

  /** By whoever reads a body, for each chunk. */
  took(request: IncomingMessage, bytes: number): void {
    const cost = bytes + chunkCostBytes;
    this.#roundBytes += cost;
    this.#plan();
    if (this.#roundBytes <= roundBytesMax) return;
    const before = this.#resting.get(request);
    this.#resting.set(request, (before ?? 0) + cost);
    if (before !== undefined) return;
    request.socket.pause();
    // The stream asks for more after each chunk, and would wake the socket.
    request._read = () => {};
  }

  #plan(): void {
    if (this.#isNextDue) return;
    this.#isNextDue = true;
    setImmediate(() => this.#begin());
  }

  /** The next read of a socket is taken to cost what the last one did; the first of a round always gets it. */
  #begin(): void {
    this.#isNextDue = false;
    this.#roundBytes = 0;
    let left = roundBytesMax;
    for (const [request, cost] of this.#resting) {
      if (left <= 0) break;
      left -= cost;
      this.#resting.delete(request);
      Reflect.deleteProperty(request, "_read");
      request.socket.resume();
    }
    if (this.#resting.size > 0) this.#plan();
  }
}
