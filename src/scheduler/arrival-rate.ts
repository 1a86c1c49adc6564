/** Weight of the newest gap; the rest is the past. */
const newest = 0.2;
/** Requests that must have been seen before a rate is believed. */
const arrivalsMin = 4;

/** Measured arrivals: exponentially weighted gap between requests and items in each. */
export class ArrivalRate {
  #lastMs = 0;
  #gapMs = 0;
  #items = 1;
  #seen = 0;

  arrived(items: number, nowMs: number): void {
    const gapMs = this.#seen === 0 ? 0 : nowMs - this.#lastMs;
    if (this.#seen === 0) this.#items = items;
    else if (this.#seen === 1) this.#gapMs = gapMs;
    else this.#gapMs += newest * (gapMs - this.#gapMs);
    this.#items += newest * (items - this.#items);
    this.#lastMs = nowMs;
    this.#seen += 1;
  }

  get items(): number {
    return this.#items;
  }

  /** Expected gap: never less than the silence since the last request; `Infinity` while too little was seen. */
  gapMs(nowMs: number): number {
    if (this.#seen < arrivalsMin) return Infinity;
    return Math.max(this.#gapMs, nowMs - this.#lastMs);
  }
}

/** Batch keys whose rhythm is remembered; beyond it, the one that came least recently is forgotten. */
const arrivalKeysMax = 256;

/** Arrivals by batch key: only who may share a batch is company worth a wait. */
export class ArrivalRates {
  readonly #byKey = new Map<string, ArrivalRate>();

  get keys(): number {
    return this.#byKey.size;
  }

  arrived(batchKey: string, items: number, nowMs: number): void {
    const rate = this.of(batchKey);
    rate.arrived(items, nowMs);
    // Put last: the first is the one that came least recently.
    this.#byKey.delete(batchKey);
    this.#byKey.set(batchKey, rate);
    const [oldest] = this.#byKey.keys();
    if (this.#byKey.size > arrivalKeysMax && oldest !== undefined) this.#byKey.delete(oldest);
  }

  /** A key that is not remembered has a rate that nobody believes yet. */
  of(batchKey: string): ArrivalRate {
    return this.#byKey.get(batchKey) ?? new ArrivalRate();
  }
}
