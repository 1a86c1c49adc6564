/** The body of one request as its bytes come, in turns with whatever else is read. */
import type { IncomingMessage } from "node:http";
import type { ReadTurns, Sender } from "../read-turns.js";

export class BodyReading implements Sender {
  readonly #request: IncomingMessage;
  readonly #turns: ReadTurns;

  constructor(request: IncomingMessage, turns: ReadTurns) {
    this.#request = request;
    this.#turns = turns;
  }

  /** For each chunk. */
  took(bytes: number): void {
    this.#turns.took(this, bytes);
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
