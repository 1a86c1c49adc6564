import type { Measurement, ServiceTime } from "./service-time.js";

/** Where the search begins, and the least that it settles for; only the realtime target goes below. */
const firstBucket = 10;
const bucketMax = 20;
/** One batch in so many may cost twice the best known, to see whether that is better still. */
const exploreEvery = 16;
/** A bigger batch must be better by this much: it keeps others waiting longer. */
const gainMin = 1.03;
const newest = 0.2;

/**
 * The cost (items × longest, in tokens) that a model runs best: throughput by powers of two of the cost of a run,
 * measured while it works. Bounded by the time that a realtime item may have to wait for a run.
 *
 * ```
 *   tokens/ms │            ┌──┐
 *             │      ┌──┐──│  │──┌──┐      best: 2^11 … the next step up is tried now and then
 *             │┌──┐──│  │  │  │  │  │
 *             └┴──┴──┴──┴──┴──┴──┴──┴─► cost of a run
 *              2^9   2^10  2^11  2^12
 * ```
 */
export class BatchCost {
  readonly #service: ServiceTime;
  readonly #realtimeTargetMs: number;
  readonly #tokensPerMs = new Map<number, number>();
  #batches = 0;

  constructor(service: ServiceTime, realtimeTargetMs: number) {
    this.#service = service;
    this.#realtimeTargetMs = realtimeTargetMs;
  }

  learn({ runs, paddedTokens, ms }: Measurement): void {
    if (runs <= 0 || paddedTokens <= 0 || !(ms > 0)) return;
    // A bucket stands for the bound that allows it: costs in (2^(k-1), 2^k].
    const bucket = Math.min(bucketMax, Math.max(0, Math.ceil(Math.log2(paddedTokens / runs))));
    const before = this.#tokensPerMs.get(bucket);
    const sample = paddedTokens / ms;
    this.#tokensPerMs.set(
      bucket,
      before === undefined ? sample : before + newest * (sample - before),
    );
  }

  /** A batch left; every so often the next may explore. */
  dispatched(): void {
    this.#batches += 1;
  }

  /** Most padded tokens of the next batch. A single item may cost more. */
  get costMax(): number {
    const exploring = this.#batches % exploreEvery === exploreEvery - 1;
    return this.#withinTarget(2 ** (this.#best() + (exploring ? 1 : 0)));
  }

  #best(): number {
    let best = firstBucket;
    let throughput = this.#tokensPerMs.get(firstBucket) ?? 0;
    for (const [bucket, tokensPerMs] of [...this.#tokensPerMs].toSorted(([a], [b]) => a - b)) {
      if (bucket > best && tokensPerMs > throughput * gainMin) {
        best = bucket;
        throughput = tokensPerMs;
      }
    }
    return best;
  }

  #withinTarget(cost: number): number {
    let bounded = cost;
    while (bounded > 1 && this.#service.expectedMs(bounded) > this.#realtimeTargetMs) bounded /= 2;
    return bounded;
  }
}
