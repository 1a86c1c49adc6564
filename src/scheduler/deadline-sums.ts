const partMs = 1_000;

/** Queued effort by the second in which its deadline passes: what will be gone by itself. Only seconds with work queued are kept; an hour has 3,600. */
export class DeadlineSums {
  readonly #sums = new Map<number, number>();

  /** Those that are kept. */
  get seconds(): number {
    return this.#sums.size;
  }

  /** O(1). */
  add(deadlineAtMs: number | null, effort: number): void {
    if (deadlineAtMs === null) return;
    const part = Math.floor(deadlineAtMs / partMs);
    const sum = (this.#sums.get(part) ?? 0) + effort;
    if (sum > 0) this.#sums.set(part, sum);
    else this.#sums.delete(part);
  }

  /** Of all whose deadline passes until then, or in the same second. O(seconds with work queued). */
  until(deadlineAtMs: number): number {
    const last = Math.floor(deadlineAtMs / partMs);
    let effort = 0;
    for (const [part, sum] of this.#sums) if (part <= last) effort += sum;
    return effort;
  }
}
