/** The body of one request as its bytes come, in turns with whatever else is read. */
import type { IncomingMessage } from "node:http";
import type { Rester, Rounds } from "../rounds.js";

/** What it costs to be told of a chunk: bodies may come byte by byte. */
const chunkCostBytes = 256;

export class BodyReading implements Rester {
  readonly #request: IncomingMessage;
  readonly #rounds: Rounds;

  constructor(request: IncomingMessage, rounds: Rounds) {
    this.#request = request;
    this.#rounds = rounds;
  }

  /** For each chunk. */
  took(bytes: number): void {
    this.#rounds.took(this, bytes + chunkCostBytes);
  }

  rest(): void {
    this.#request.socket.pause();
    // The stream asks for more after each chunk, and would wake the socket.
    this.#request._read = () => {};
  }

  wake(): void {
    Reflect.deleteProperty(this.#request, "_read");
    this.#request.socket.resume();
  }
}
