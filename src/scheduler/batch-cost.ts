import type { WorkClass } from "millrace-client/wire";
import type { Measurement, ServiceTime } from "./service-time.js";

/**
 * Where the search begins: what came first should not wait for company that makes nothing faster, as of an encoder whose
 * products are as fast over two texts as over twenty.
 */
const firstBucket = 8;
/** Of bulk nobody waits for a single item, and a large batch has neighbours in length. Only the realtime target goes below. */
const bulkBucketMin = 10;
const bucketMax = 20;
/** One batch in so many may cost twice the best known, to see whether that is better still. */
const exploreEvery = 16;
/** A bigger batch must be better by this much: it keeps others waiting longer. */
const gainMin = 1.03;
const newest = 0.2;

/**
 * The cost (in padded units) that a model runs best: throughput by powers of two of the cost of a run,
 * measured while it works. Bounded by the time that a realtime item may have to wait for a run.
 *
 * ```
 *   units/ms  │            ┌──┐
 *             │      ┌──┐──│  │──┌──┐      best: 2^11 … the next step up is tried now and then
 *             │┌──┐──│  │  │  │  │  │
 *             └┴──┴──┴──┴──┴──┴──┴──┴─► cost of a run
 *              2^9   2^10  2^11  2^12
 * ```
 */
export class BatchCost {
  readonly #service: ServiceTime;
  readonly #realtimeTargetMs: number;
  readonly #unitsPerMs = new Map<number, number>();
  #best = firstBucket;
  #batches = 0;

  constructor(service: ServiceTime, realtimeTargetMs: number) {
    this.#service = service;
    this.#realtimeTargetMs = realtimeTargetMs;
  }

  learn({ runs, paddedUnits, ms }: Measurement): void {
    if (runs <= 0 || paddedUnits <= 0 || !(ms > 0)) return;
    // A bucket stands for the bound that allows it: costs in (2^(k-1), 2^k].
    const bucket = Math.min(bucketMax, Math.max(0, Math.ceil(Math.log2(paddedUnits / runs))));
    const before = this.#unitsPerMs.get(bucket);
    const sample = paddedUnits / ms;
    this.#unitsPerMs.set(
      bucket,
      before === undefined ? sample : before + newest * (sample - before),
    );
    this.#best = this.#findBest();
  }

  /** A batch left; every so often the next may explore. */
  dispatched(): void {
    this.#batches += 1;
  }

  /** Most padded units of the next batch. A single item may cost more. */
  costMax(workClass: WorkClass): number {
    return this.#costOf(workClass, this.#best + this.#step());
  }

  /** The same without a step beyond what is known. */
  bestFor(workClass: WorkClass): number {
    return this.#costOf(workClass, this.#best);
  }

  #costOf(workClass: WorkClass, bucket: number): number {
    return this.#withinTarget(
      2 ** (workClass === "bulk" ? Math.max(bucket, bulkBucketMin) : bucket),
    );
  }

  /** Down only where it is not known yet: bulk may have been all that there was. */
  #step(): number {
    const turn = this.#batches % exploreEvery;
    if (turn === exploreEvery - 1) return 1;
    const isBelowUnknown = this.#best > firstBucket && !this.#unitsPerMs.has(this.#best - 1);
    return turn === exploreEvery / 2 && isBelowUnknown ? -1 : 0;
  }

  #findBest(): number {
    let best = firstBucket;
    let throughput = this.#unitsPerMs.get(firstBucket) ?? 0;
    for (const [bucket, unitsPerMs] of [...this.#unitsPerMs].toSorted(([a], [b]) => a - b)) {
      if (bucket > best && unitsPerMs > throughput * gainMin) {
        best = bucket;
        throughput = unitsPerMs;
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
