/** Of sorted values, the one below which the part of them lies (0.5: the middle); 0 where there are none. */
export function sortedAt(sorted: Float64Array, part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}
