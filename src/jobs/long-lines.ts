/** Lines that are longer than a chunk and have not ended: each is in memory, so all of them, of all files that come in, have one room. */
import { MillraceError } from "millrace-client/wire";

const retryAfterMs = 1_000;

export class LongLines {
  readonly #bytesMax: number;
  #heldBytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** One file's instead of what it held before. @throws MillraceError `queue_full`, and nothing has changed */
  hold(bytes: number, { before }: { readonly before: number }): void {
    const held = this.#heldBytes - before + bytes;
    if (bytes > before && held > this.#bytesMax) {
      const message = `The long lines that are coming in have ${this.#bytesMax} bytes already (--bodies-bytes-max); come again later.`;
      throw new MillraceError("queue_full", message, { retryAfterMs });
    }
    this.#heldBytes = held;
  }
}
