/** Latencies in few words: quantiles by the nearest rank, and a histogram for whoever wants more. */
export interface Quantiles {
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

/** The least value that so large a part of all is not above: p99 of fewer than a hundred is the largest. */
export function quantiles(values: readonly number[]): Quantiles {
  const sorted = Float64Array.from(values).sort();
  const at = (part: number): number =>
    sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? 0;
  return { p50Ms: at(0.5), p90Ms: at(0.9), p99Ms: at(0.99), maxMs: at(1) };
}

export interface Bucket {
  /** Values up to this and above the bucket before. */
  readonly upToMs: number;
  readonly count: number;
}

/** Of an eighth of an octave: each is known to within a tenth. */
const bucketsOfOctave = 8;

/** Buckets that have something, the least first. */
export function histogram(valuesMs: readonly number[]): readonly Bucket[] {
  const counts = new Map<number, number>();
  for (const value of valuesMs) {
    const bucket = Math.ceil(bucketsOfOctave * Math.log2(Math.max(value, 0.001)));
    counts.set(bucket, (counts.get(bucket) ?? 0) + 1);
  }
  return [...counts]
    .sort(([left], [right]) => left - right)
    .map(([bucket, count]) => ({ upToMs: 2 ** (bucket / bucketsOfOctave), count }));
}
