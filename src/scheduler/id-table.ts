/** Ids of a page: those given at about the same time, which are asked for at about the same time. */
const pageIds = 64;

interface Page<T> {
  readonly entries: (T | undefined)[];
  used: number;
}

/**
 * Entries by ids that are counted up. A map of a million entries has to be searched in memory that no cache holds; here neighbours lie
 * together, and a page is forgotten with the last of its entries.
 *
 * ```
 *   id 131 ──► page ⌊131 / 64⌋ = 2, place 3
 * ```
 */
export class IdTable<T> {
  readonly #pages = new Map<number, Page<T>>();

  get(id: number): T | undefined {
    return this.#pages.get(Math.floor(id / pageIds))?.entries[id % pageIds];
  }

  has(id: number): boolean {
    return this.get(id) !== undefined;
  }

  set(id: number, entry: T): void {
    const at = Math.floor(id / pageIds);
    let page = this.#pages.get(at);
    if (page === undefined) {
      page = { entries: Array.from({ length: pageIds }, () => undefined), used: 0 };
      this.#pages.set(at, page);
    }
    const place = id % pageIds;
    if (page.entries[place] === undefined) page.used += 1;
    page.entries[place] = entry;
  }

  delete(id: number): boolean {
    const at = Math.floor(id / pageIds);
    const page = this.#pages.get(at);
    const place = id % pageIds;
    if (page?.entries[place] === undefined) return false;
    page.entries[place] = undefined;
    page.used -= 1;
    if (page.used === 0) this.#pages.delete(at);
    return true;
  }
}
