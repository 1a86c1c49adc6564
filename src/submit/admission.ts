/**
 * The bound of what the server holds: items and bytes from the moment that a request is accepted until it ended, be they
 * waiting or running. What does not fit is refused at once, whole, with the time after which it may fit; what could
 * never fit is refused for good. Small requests are let in up to a hundredth above the bound, so that one request that
 * fills the queue shuts out no person's sentence. What is prepared elsewhere (submit/nats) counts an input as an item.
 *
 *   admit: inputs, bytes of the body ──► ticket ── take: pieces as they are made ──► prepared ──► release
 *                                          └─ foresee, reserve: a large request, before its pieces are made
 */
import { MillraceError } from "millrace-client/wire";
import type { PieceBudget } from "../prepare/prepare.js";
import type { Clock } from "../work/clock.js";

export interface AdmissionLimits {
  readonly queuedItemsMax: number;
  readonly queuedBytesMax: number;
}

interface Amount {
  readonly items: number;
  readonly bytes: number;
}

/** What a small request holds at most, and what part of the bound is for small ones alone, above it. */
const small: Amount = { items: 16, bytes: 65_536 };
const smallShare = 0.01;
const retryAfterMsMin = 100;
const retryAfterMsMax = 60_000;
/** Where nothing has ended yet there is no rate to reckon with. */
const retryAfterMsUnknown = 1_000;

export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #clock: Clock;
  readonly #rate = new DrainRate();
  #items = 0;
  #bytes = 0;

  constructor(limits: AdmissionLimits, clock: Clock) {
    this.#limits = limits;
    this.#clock = clock;
  }

  get held(): Amount {
    return { items: this.#items, bytes: this.#bytes };
  }

  /**
   * Takes nothing and throws, `queue_full` where it may fit later, `too_many_items` or `body_too_large` where it never
   * will; or returns what must be released exactly once.
   */
  admit(wanted: Amount): Ticket {
    this.#refuseOver(wanted, wanted);
    this.#add(wanted);
    return new Ticket(wanted, {
      refuseForGood: (own) => this.#refuseForGood(own),
      grow: (more, own) => {
        this.#refuseOver(more, own);
        this.#add(more);
      },
      hold: (bytes) => this.#add({ items: 0, bytes }),
      shrink: (less) => this.#add({ items: -less.items, bytes: -less.bytes }),
      ended: (items) => this.#rate.record(items, this.#clock.now()),
    });
  }

  #add({ items, bytes }: Amount): void {
    this.#items += items;
    this.#bytes += bytes;
  }

  /** Throws where it could never fit. */
  #refuseForGood(own: Amount): void {
    const { queuedItemsMax, queuedBytesMax } = this.#limits;
    if (own.items > queuedItemsMax) {
      const message = `the request holds ${own.items} items or more; the queue takes ${queuedItemsMax}`;
      throw new MillraceError("too_many_items", message);
    }
    if (own.bytes > queuedBytesMax) {
      const message = `the request holds ${own.bytes} bytes or more; the queue takes ${queuedBytesMax}`;
      throw new MillraceError("body_too_large", message);
    }
  }

  /** `more` is what is asked for now, `own` all that the request would hold then. */
  #refuseOver(more: Amount, own: Amount): void {
    this.#refuseForGood(own);
    const { queuedItemsMax, queuedBytesMax } = this.#limits;
    const isSmall = own.items <= small.items && own.bytes <= small.bytes;
    const share = isSmall ? smallShare : 0;
    const itemsOver =
      this.#items + more.items - queuedItemsMax - Math.floor(queuedItemsMax * share);
    const bytesOver =
      this.#bytes + more.bytes - queuedBytesMax - Math.floor(queuedBytesMax * share);
    // What a request holds already it keeps, whoever was let in above the bound meanwhile.
    const wantsItems = more.items > 0 && itemsOver > 0;
    const wantsBytes = more.bytes > 0 && bytesOver > 0;
    if (!wantsItems && !wantsBytes) return;
    const what = wantsItems
      ? `${itemsOver} items over ${queuedItemsMax}`
      : `${bytesOver} bytes over ${queuedBytesMax}`;
    throw new MillraceError("queue_full", `the queue is full: ${what}`, {
      retryAfterMs: this.#retryAfterMs(itemsOver, bytesOver),
    });
  }

  /** Until enough has ended at the present rate; bytes are reckoned in items of their present mean size. */
  #retryAfterMs(itemsOver: number, bytesOver: number): number {
    const perSecond = this.#rate.perSecond(this.#clock.now());
    if (perSecond === 0) return retryAfterMsUnknown;
    const itemBytes = Math.max(1, this.#bytes / Math.max(1, this.#items));
    const items = Math.max(itemsOver, bytesOver / itemBytes, 1);
    const waitMs = (items / perSecond) * 1_000;
    return Math.round(Math.min(retryAfterMsMax, Math.max(retryAfterMsMin, waitMs)));
  }
}

interface TicketActions {
  refuseForGood(own: Amount): void;
  grow(more: Amount, own: Amount): void;
  hold(bytes: number): void;
  shrink(less: Amount): void;
  ended(items: number): void;
}

/** What one request holds. Inputs, and what was reserved, stand for items until prepare has made these. */
export class Ticket implements PieceBudget {
  readonly #actions: TicketActions;
  #items: number;
  #bytes: number;
  #pieces = 0;
  #foreseen = 0;
  #isPrepared = false;
  #released = false;

  constructor({ items, bytes }: Amount, actions: TicketActions) {
    this.#items = items;
    this.#bytes = bytes;
    this.#actions = actions;
  }

  /** Pieces that were made so far. */
  get pieces(): number {
    return this.#pieces;
  }

  /** So many pieces it has or will have, as far as is known. */
  get piecesMin(): number {
    return Math.max(this.#pieces, this.#foreseen);
  }

  foresee(pieces: number): void {
    this.#actions.refuseForGood({ items: Math.max(this.#items, pieces), bytes: this.#bytes });
    this.#foreseen = pieces;
  }

  reserve(pieces: number): void {
    const items = Math.max(0, pieces - this.#items);
    this.#actions.grow({ items, bytes: 0 }, { items: this.#items + items, bytes: this.#bytes });
    this.#items += items;
  }

  take(pieces: number, bytes: number): void {
    const items = Math.max(0, this.#pieces + pieces - this.#items);
    this.#actions.grow(
      { items, bytes },
      { items: this.#items + items, bytes: this.#bytes + bytes },
    );
    this.#pieces += pieces;
    this.#items += items;
    this.#bytes += bytes;
  }

  /** What is there already, and larger than was known: it is counted whatever the bounds say, and others wait. */
  hold(bytes: number): void {
    if (this.#released) return;
    this.#actions.hold(bytes);
    this.#bytes += bytes;
  }

  /** All pieces are made: inputs that need no model hold no place. */
  prepared(): void {
    this.#isPrepared = true;
    this.#actions.shrink({ items: this.#items - this.#pieces, bytes: 0 });
    this.#items = this.#pieces;
  }

  /** A second call does nothing. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    this.#actions.shrink({ items: this.#items, bytes: this.#bytes });
    // What was refused while it was prepared says nothing of how fast places come free.
    if (this.#isPrepared) this.#actions.ended(this.#items);
  }
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
