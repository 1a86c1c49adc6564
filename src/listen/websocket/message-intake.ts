/**
 * The bytes of a message that is not whole yet: counted with all bodies as they arrive, bounded in time, and read in turns with
 * all others. The library holds them, and tells of a message when it is whole.
 */
import { MillraceError } from "millrace-client/wire";
import type { BodyBudget, BodyShare } from "../body-budget.js";

/** What a chunk costs beside its bytes: they may come one by one. */
const chunkBytes = 256;
/** Of a frame from a client, at the least; a control frame has no more. */
const frameHeadBytes = 6;

export interface IntakeParts {
  readonly budget: BodyBudget;
  readonly timeoutMs: number;
  /** It is too large for the room that is left, or late: the connection cannot go on. */
  readonly refuse: (error: MillraceError) => void;
}

export class MessageIntake {
  readonly #parts: IntakeParts;
  #share: BodyShare | null = null;
  /** Read, and of no message that was told of. */
  #bytes = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(parts: IntakeParts) {
    this.#parts = parts;
  }

  took(bytes: number): void {
    this.#share ??= this.#parts.budget.open(this.#parts.refuse);
    this.#bytes += bytes;
    this.#share.received(bytes);
    try {
      this.#share.grow(bytes + chunkBytes);
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      this.end();
      this.#parts.refuse(error);
      return;
    }
    this.#timer ??= setTimeout(() => {
      const message = `The message did not arrive within ${this.#parts.timeoutMs} ms.`;
      this.#parts.refuse(new MillraceError("body_timeout", message));
    }, this.#parts.timeoutMs);
  }

  /** What was read is a message, and the library has handed it over. */
  whole(): void {
    this.end();
  }

  /** A ping or pong came, which may stand in the middle of a message. */
  control(bytes: number): void {
    this.#bytes -= bytes + frameHeadBytes;
    if (this.#bytes <= 0) this.end();
  }

  end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#bytes = 0;
    this.#share?.release();
    this.#share?.settle();
    this.#share = null;
  }
}
