/** The body of one request as its bytes come, in turns with whatever else is read. */
import type { IncomingMessage } from "node:http";
import type { Rester, Rounds } from "../rounds.js";

/** What it costs to be told of a chunk: bodies may come byte by byte. */
const chunkCostBytes = 256;

export class BodyReading implements Rester {
  readonly #request: IncomingMessage;
  readonly #rounds: Rounds;
  #isResting = false;
  #isHeld = false;
  #holds = 0;

  constructor(request: IncomingMessage, rounds: Rounds) {
    this.#request = request;
    this.#rounds = rounds;
  }

  /** Whoever reads has enough for now: that nothing comes is not the caller's doing. */
  get isHeld(): boolean {
    return this.#isHeld;
  }

  /** How often it was held. */
  get holds(): number {
    return this.#holds;
  }

  /** For each chunk. */
  took(bytes: number): void {
    this.#rounds.took(this, bytes + chunkCostBytes);
  }

  /** What the parser has already still comes. Again: nothing. */
  hold(): void {
    if (!this.#isHeld) this.#holds += 1;
    this.#isHeld = true;
    this.#stop();
  }

  /** Again: nothing. */
  release(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    if (!this.#isResting) this.#go();
  }

  rest(): void {
    this.#isResting = true;
    this.#stop();
  }

  wake(): void {
    this.#isResting = false;
    if (!this.#isHeld) this.#go();
  }

  #stop(): void {
    this.#request.socket.pause();
    // The stream asks for more after each chunk, and would wake the socket.
    this.#request._read = () => {};
  }

  #go(): void {
    Reflect.deleteProperty(this.#request, "_read");
    this.#request.socket.resume();
  }
}
