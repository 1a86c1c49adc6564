/**
 * The bytes of all bodies that are being read or parsed, counted as they arrive. Where they are too many, the largest
 * goes: a caller with one sentence is served while hundreds of others send all that they may.
 *
 *   grow ─► fits? taken                                  held ≤ bytesMax, or one body that is alone
 *           else the largest of the others is refused, again and again
 *           else (this is the largest) it is refused itself
 */
import { MillraceError } from "millrace-client/wire";

/** Reading a body takes a fraction of a second; the smallest wait that the header can say. */
const retryAfterMs = 1_000;

export class BodyBudget {
  readonly #bytesMax: number;
  readonly #open = new Set<BodyShare>();
  #heldBytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** `refuse` is called at most once, while the share is open and not settled: the body must give up all it has. */
  open(refuse: (error: MillraceError) => void): BodyShare {
    const share = new BodyShare(this, refuse);
    this.#open.add(share);
    return share;
  }

  /** @throws MillraceError `queue_full`; then nothing was taken. */
  take(share: BodyShare, bytes: number): void {
    while (this.#heldBytes + bytes > this.#bytesMax && this.#heldBytes > share.bytes) {
      const largest = this.#largestBut(share);
      if (largest === null || largest.bytes <= share.bytes + bytes) throw this.#full();
      largest.evict(this.#full());
    }
    this.#heldBytes += bytes;
  }

  giveBack(share: BodyShare, bytes: number): void {
    this.#heldBytes -= bytes;
    if (share.bytes === 0) this.#open.delete(share);
  }

  #largestBut(share: BodyShare): BodyShare | null {
    let largest: BodyShare | null = null;
    for (const other of this.#open) {
      if (other === share || other.settled) continue;
      if (largest === null || other.bytes > largest.bytes) largest = other;
    }
    return largest;
  }

  #full(): MillraceError {
    const message = `The bodies that are being read have ${this.#bytesMax} bytes already.`;
    return new MillraceError("queue_full", message, { retryAfterMs });
  }
}

export class BodyShare {
  readonly #budget: BodyBudget;
  readonly #refuse: (error: MillraceError) => void;
  #bytes = 0;
  /** True once the body is whole: from then on it is in use, and not refused any more. */
  settled = false;

  constructor(budget: BodyBudget, refuse: (error: MillraceError) => void) {
    this.#budget = budget;
    this.#refuse = refuse;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** @throws MillraceError `queue_full`; then nothing was taken. */
  grow(bytes: number): void {
    this.#budget.take(this, bytes);
    this.#bytes += bytes;
  }

  shrink(bytes: number): void {
    this.#bytes -= bytes;
    this.#budget.giveBack(this, bytes);
  }

  /** Again: nothing. */
  release(): void {
    this.shrink(this.#bytes);
  }

  evict(error: MillraceError): void {
    this.release();
    this.settled = true;
    this.#refuse(error);
  }
}
