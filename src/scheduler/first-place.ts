/**
 * The first place of a list, sorted by a number, at which the number is `least` or more; the list's length where there is none.
 * O(log n).
 */
export function firstPlace<T>(
  sorted: readonly T[],
  numberOf: (member: T) => number,
  least: number,
): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const member = sorted[middle];
    if (member !== undefined && numberOf(member) < least) low = middle + 1;
    else high = middle;
  }
  return low;
}
