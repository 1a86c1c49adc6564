/** How many there are of each name; of a name of which there are none any more nothing is kept. */
export class Counts {
  readonly #counts = new Map<string, number>();
  #all = 0;

  /** Of all names. */
  get all(): number {
    return this.#all;
  }

  of(name: string): number {
    return this.#counts.get(name) ?? 0;
  }

  /** So many more; fewer where it is negative. */
  add(name: string, change: number): void {
    const count = this.of(name) + change;
    if (count > 0) this.#counts.set(name, count);
    else this.#counts.delete(name);
    this.#all += change;
  }

  clear(): void {
    this.#counts.clear();
    this.#all = 0;
  }
}
