/**
 * The bound of what the server holds: items and bytes from the moment that a request is accepted until it ended, be they
 * waiting or running. What does not fit is refused at once, whole, with the time after which it may fit.
 */
import { MillraceError } from "millrace-client/wire";

export interface AdmissionLimits {
  readonly queuedItemsMax: number;
  readonly queuedBytesMax: number;
}

const retryAfterMsMin = 100;
const retryAfterMsMax = 60_000;
/** Where nothing has ended yet there is no rate to reckon with. */
const retryAfterMsUnknown = 1_000;

export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #rate = new DrainRate();
  #items = 0;
  #bytes = 0;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  get held(): { readonly items: number; readonly bytes: number } {
    return { items: this.#items, bytes: this.#bytes };
  }

  /** Throws `queue_full` and takes nothing, or returns what must be released exactly once. */
  admit(wanted: { readonly items: number; readonly bytes: number }, nowMs: number): Admitted {
    this.#refuseOver(wanted.items, wanted.bytes, nowMs);
    this.#items += wanted.items;
    this.#bytes += wanted.bytes;
    const held = { ...wanted };
    let released = false;
    return {
      // How many sentences the texts hold is known only after they were accepted and split.
      resize: (items, atMs) => {
        this.#refuseOver(items - held.items, 0, atMs);
        this.#items += items - held.items;
        held.items = items;
      },
      release: (atMs) => {
        if (released) return;
        released = true;
        this.#items -= held.items;
        this.#bytes -= held.bytes;
        this.#rate.record(held.items, atMs);
      },
    };
  }

  #refuseOver(items: number, bytes: number, nowMs: number): void {
    const { queuedItemsMax, queuedBytesMax } = this.#limits;
    const itemsOver = this.#items + items - queuedItemsMax;
    const bytesOver = this.#bytes + bytes - queuedBytesMax;
    // A request that frees places is never refused.
    if ((itemsOver <= 0 || items <= 0) && (bytesOver <= 0 || bytes <= 0)) return;
    const what =
      itemsOver > 0
        ? `${itemsOver} items over ${queuedItemsMax}`
        : `${bytesOver} bytes over ${queuedBytesMax}`;
    throw new MillraceError("queue_full", `the queue is full: ${what}`, {
      retryAfterMs: this.#retryAfterMs(itemsOver, bytesOver, nowMs),
    });
  }

  /** Until enough has ended at the present rate; bytes are reckoned in items of their present mean size. */
  #retryAfterMs(itemsOver: number, bytesOver: number, nowMs: number): number {
    const perSecond = this.#rate.perSecond(nowMs);
    if (perSecond === 0) return retryAfterMsUnknown;
    const itemBytes = Math.max(1, this.#bytes / Math.max(1, this.#items));
    const items = Math.max(itemsOver, bytesOver / itemBytes, 1);
    const waitMs = (items / perSecond) * 1_000;
    return Math.round(Math.min(retryAfterMsMax, Math.max(retryAfterMsMin, waitMs)));
  }
}

export interface Admitted {
  /** The request turned out to hold so many items; throws `queue_full` where these are too many. */
  resize(items: number, nowMs: number): void;
  release(nowMs: number): void;
}

/** Items that end per second, the last ten seconds counting most. */
class DrainRate {
  readonly #windowMs = 10_000;
  #level = 0;
  #atMs = 0;

  record(items: number, nowMs: number): void {
    this.#level = this.#decayed(nowMs) + items;
    this.#atMs = nowMs;
  }

  perSecond(nowMs: number): number {
    return (this.#decayed(nowMs) / this.#windowMs) * 1_000;
  }

  #decayed(nowMs: number): number {
    return this.#level * Math.exp(-(nowMs - this.#atMs) / this.#windowMs);
  }
}
