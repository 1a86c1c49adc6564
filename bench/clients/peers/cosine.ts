/** No number where the vectors cannot be compared. */
export function cosineOf(one: ArrayLike<number>, other: ArrayLike<number>): number {
  if (one.length === 0 || one.length !== other.length) return Number.NaN;
  let [both, left, right] = [0, 0, 0];
  for (let at = 0; at < one.length; at += 1) {
    const [a, b] = [one[at] ?? 0, other[at] ?? 0];
    both += a * b;
    left += a * a;
    right += b * b;
  }
  return both / Math.sqrt(left * right);
}
