/**
 * How much of all bodies is read before anything else gets its turn. libuv reads up to 2 MiB from each socket that has
 * them, and accepts one connection a round: with three hundred uploads a round takes half a second, and whoever
 * connects waits behind three hundred of them, `/live` too.
 *
 *   a piece ─► still within the round's share? go on
 *              else its socket rests ─► #waiting ─► a few of them, in turn, each round
 */
import type { IncomingMessage } from "node:http";

/** A few milliseconds. */
const roundBytesMax = 1024 * 1024;
/** What Node reads from a socket at once. */
const readBytes = 64 * 1024;
/** What it costs to be told of a piece, in bytes that could be copied meanwhile: bodies may come byte by byte. */
const pieceCostBytes = 256;

export class ReadTurns {
  readonly #waiting = new Set<IncomingMessage>();
  #roundBytes = 0;
  #next: NodeJS.Immediate | null = null;

  /** By whoever reads a body, for each piece. */
  took(request: IncomingMessage, bytes: number): void {
    this.#roundBytes += bytes + pieceCostBytes;
    this.#next ??= setImmediate(() => this.#begin());
    if (this.#roundBytes <= roundBytesMax || this.#waiting.has(request)) return;
    this.#waiting.add(request);
    request.socket.pause();
    // The stream asks for more after each piece, and would wake the socket.
    request._read = () => {};
  }

  #begin(): void {
    this.#next = null;
    this.#roundBytes = 0;
    let places = roundBytesMax / readBytes;
    for (const request of this.#waiting) {
      if (places-- === 0) break;
      this.#waiting.delete(request);
      Reflect.deleteProperty(request, "_read");
      request.socket.resume();
    }
    if (this.#waiting.size > 0) this.#next = setImmediate(() => this.#begin());
  }
}
