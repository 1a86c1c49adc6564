/**
 * The bytes of all replies that wait for their readers. Where they are too many, whoever has waited longest is
 * disconnected: an honest reader has taken its reply long before one that does not read.
 */
export class ReplyBudget {
  readonly #bytesMax: number;
  /** Those with bytes, in the order in which they began to wait. */
  readonly #waiting = new Set<ReplyShare>();
  #heldBytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** At most `bytesMax`, or one reply that is alone. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  take(share: ReplyShare, bytes: number): void {
    this.#heldBytes += bytes;
    this.#waiting.add(share);
    for (const oldest of this.#waiting) {
      if (this.#heldBytes <= this.#bytesMax) return;
      if (oldest === share) continue;
      oldest.release();
      oldest.disconnect();
    }
  }

  giveBack(share: ReplyShare, bytes: number): void {
    this.#heldBytes -= bytes;
    if (share.bytes === 0) this.#waiting.delete(share);
  }
}

export class ReplyShare {
  readonly disconnect: () => void;
  readonly #budget: ReplyBudget;
  #bytes = 0;

  constructor(budget: ReplyBudget, disconnect: () => void) {
    this.#budget = budget;
    this.disconnect = disconnect;
  }

  get bytes(): number {
    return this.#bytes;
  }

  grow(bytes: number): void {
    this.#bytes += bytes;
    this.#budget.take(this, bytes);
  }

  shrink(bytes: number): void {
    const given = Math.min(bytes, this.#bytes);
    this.#bytes -= given;
    this.#budget.giveBack(this, given);
  }

  /** Again: nothing. */
  release(): void {
    this.shrink(this.#bytes);
  }
}
