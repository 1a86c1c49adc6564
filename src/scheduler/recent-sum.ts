const parts = 8;

/** A sum of what came within a window of time, and up to an eighth of the window before it: never less than the sum, in O(1). */
export class RecentSum {
  readonly #partMs: number;
  readonly #amounts: number[] = Array.from({ length: parts + 1 }, () => 0);
  /** The part of time that is summed up now, counted from the clock's zero. */
  #part = 0;

  constructor(windowMs: number) {
    this.#partMs = windowMs / parts;
  }

  add(amount: number, nowMs: number): void {
    this.#advance(nowMs);
    const at = this.#part % this.#amounts.length;
    this.#amounts[at] = (this.#amounts[at] ?? 0) + amount;
  }

  at(nowMs: number): number {
    this.#advance(nowMs);
    return this.#amounts.reduce((sum, amount) => sum + amount, 0);
  }

  #advance(nowMs: number): void {
    const part = Math.floor(nowMs / this.#partMs);
    const over = Math.min(this.#amounts.length, part - this.#part);
    for (let each = 0; each < over; each += 1)
      this.#amounts[(part - each) % this.#amounts.length] = 0;
    this.#part = Math.max(part, this.#part);
  }
}
