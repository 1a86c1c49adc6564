/**
 * What bulk is owed beside realtime, in milliseconds or in starts. Pure: whoever serves a class tells so.
 *
 *   realtime is served, bulk waits    ▸ bulk is owed its share of the time that both take
 *   realtime is served, nobody waits  ▸ nothing is owed: a share that nobody wanted is not saved up
 *   bulk is served                    ▸ that much is paid; what it took too much is taken off what comes, where that is asked
 */

/** Of a process that is busy with realtime work: an eighth, of one model's items among each other and of models among each other. */
export const usualBulkShare = 0.125;

export class OwedShare {
  readonly #share: number;
  readonly #owedMax: number;
  #owed = 0;

  /** `share`: of all that is served, 0 to 1. */
  constructor(share: number, owedMax: number = Number.POSITIVE_INFINITY) {
    this.#share = share;
    this.#owedMax = owedMax;
  }

  /** Negative where bulk took more than it was owed. */
  get owed(): number {
    return this.#owed;
  }

  realtimeServed(amount: number, bulkWaits: boolean): void {
    const owed = this.#owed + (amount * this.#share) / (1 - this.#share);
    this.#owed = bulkWaits ? Math.min(this.#owedMax, owed) : 0;
  }

  /** `isAskedBack`: what was too much stays a debt of bulk's. */
  bulkServed(amount: number, isAskedBack: boolean): void {
    const owed = this.#owed - amount;
    this.#owed = isAskedBack ? owed : Math.max(0, owed);
  }
}
