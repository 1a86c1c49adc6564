/**
 * The ids that were added last: at least half of `idsMax` of them, and never more than `idsMax`. Two generations, so
 * that forgetting costs nothing: a set from which the oldest is taken one by one walks over the holes that it leaves.
 *
 * ```
 *   add ──► young ──(half full)──► old ──(young is half full again)──► forgotten
 * ```
 */
export class RecentIds {
  readonly #halfMax: number;
  #young = new Set<number>();
  #old = new Set<number>();

  constructor(idsMax: number) {
    this.#halfMax = Math.max(1, Math.floor(idsMax / 2));
  }

  has(id: number): boolean {
    return this.#young.has(id) || this.#old.has(id);
  }

  add(id: number): void {
    if (this.#young.size >= this.#halfMax) {
      this.#old = this.#young;
      this.#young = new Set();
    }
    this.#young.add(id);
  }
}
