/**
 * How many inputs a key may send in a time: a bucket that fills at the rate, and holds as many as may come at once. A request that
 * is larger than the bucket is let in when that is full, and leaves a debt: it would else never be.
 */
export interface RateLimit {
  readonly perSecond: number;
  readonly burst: number;
}

const tolerance = 1e-6;

export class Rate {
  #tokens: number | null = null;
  #atMs = 0;

  /** 0: it was taken; else nothing was, and this is when to come again. */
  take(inputs: number, { perSecond, burst }: RateLimit, nowMs: number): number {
    const filled =
      this.#tokens === null ? burst : this.#tokens + ((nowMs - this.#atMs) / 1_000) * perSecond;
    const tokens = Math.min(burst, filled);
    this.#tokens = tokens;
    this.#atMs = nowMs;
    const missing = Math.min(inputs, burst) - tokens;
    // Sums of fractions: who comes when it was told to must not find a billionth missing.
    if (missing > tolerance)
      return Math.max(1, Math.ceil((missing / perSecond) * 1_000 - tolerance));
    this.#tokens = tokens - inputs;
    return 0;
  }

  giveBack(inputs: number): void {
    if (this.#tokens !== null) this.#tokens += inputs;
  }
}
