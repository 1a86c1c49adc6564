/**
 * The last values in a ring, and where the middle and nearly all of them lie. To sort them is what costs, and status may be asked for
 * hundreds of times a second: what was found is told again for a moment, while hardly any value has come.
 */
import { sortedAt } from "./sorted-at.js";

const samplesMax = 2_048;
const toldAgainMsMax = 100;
/** Of the values that are kept, so many have come that they are sorted again. */
const newShareMin = 1 / 16;

interface Quantiles {
  readonly p50Ms: number;
  readonly p99Ms: number;
}

interface Told extends Quantiles {
  readonly atMs: number;
  readonly count: number;
}

/** All times in milliseconds, on one clock. */
export class RecentQuantiles {
  readonly #values = new Float64Array(samplesMax);
  readonly #atMs = new Float64Array(samplesMax);
  readonly #ageMsMax: number;
  #count = 0;
  #told: Told = { atMs: Number.NEGATIVE_INFINITY, count: 0, p50Ms: 0, p99Ms: 0 };

  /** `ageMsMax`: older values do not count. Default: only how many came since decides. */
  constructor(ageMsMax: number = Infinity) {
    this.#ageMsMax = ageMsMax;
  }

  /** All that ever came. */
  get count(): number {
    return this.#count;
  }

  /** `nowMs` says something only where there is an age. */
  add(valueMs: number, nowMs: number = 0): void {
    const at = this.#count % samplesMax;
    this.#values[at] = valueMs;
    this.#atMs[at] = nowMs;
    this.#count += 1;
  }

  /** Zeros where there is none. */
  view(nowMs: number): Quantiles {
    if (!this.#isFresh(nowMs)) this.#told = this.#find(nowMs);
    const { p50Ms, p99Ms } = this.#told;
    return { p50Ms, p99Ms };
  }

  #isFresh(nowMs: number): boolean {
    const { atMs, count } = this.#told;
    if (nowMs - atMs >= toldAgainMsMax) return false;
    return this.#count - count <= newShareMin * Math.min(count, samplesMax);
  }

  #find(nowMs: number): Told {
    const kept = Math.min(this.#count, samplesMax);
    const isRecent = (_: number, at: number): boolean =>
      nowMs - (this.#atMs[at] ?? 0) <= this.#ageMsMax;
    const sorted = this.#values.subarray(0, kept).filter(isRecent).sort();
    const [p50Ms, p99Ms] = [sortedAt(sorted, 0.5), sortedAt(sorted, 0.99)];
    return { atMs: nowMs, count: this.#count, p50Ms, p99Ms };
  }
}
