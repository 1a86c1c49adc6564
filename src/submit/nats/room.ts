/** What requests of others hold on this machine while nodes work on them: bounded as the local door bounds them, and refused at once. */
import { MillraceError } from "millrace-client/wire";

export interface RoomLimits {
  readonly queuedItemsMax: number;
  readonly queuedBytesMax: number;
}

const retryAfterMs = 1_000;

export class Room {
  readonly #limits: RoomLimits;
  #items = 0;
  #bytes = 0;

  constructor(limits: RoomLimits) {
    this.#limits = limits;
  }

  get held(): { readonly items: number; readonly bytes: number } {
    return { items: this.#items, bytes: this.#bytes };
  }

  /** What gives it back, once. @throws MillraceError `queue_full`, `too_many_items`, `body_too_large`; nothing is taken then. */
  take(items: number, bytes: number): () => void {
    const { queuedItemsMax, queuedBytesMax } = this.#limits;
    if (items > queuedItemsMax) {
      throw new MillraceError(
        "too_many_items",
        `the request holds ${items} items; ${queuedItemsMax} are taken`,
      );
    }
    if (bytes > queuedBytesMax) {
      throw new MillraceError(
        "body_too_large",
        `the request holds ${bytes} bytes; ${queuedBytesMax} are taken`,
      );
    }
    if (this.#items + items > queuedItemsMax || this.#bytes + bytes > queuedBytesMax) {
      const message = `the nodes work on ${this.#items} items and ${this.#bytes} bytes of this server already`;
      throw new MillraceError("queue_full", message, { retryAfterMs });
    }
    this.#items += items;
    this.#bytes += bytes;
    let isGiven = false;
    return () => {
      if (isGiven) return;
      isGiven = true;
      this.#items -= items;
      this.#bytes -= bytes;
    };
  }
}
