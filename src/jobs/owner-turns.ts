/** Work that takes long, of many owners: some of it at once, of one owner one after the other, and whoever had a turn goes to the end. */

type Work = () => Promise<void>;

export class OwnerTurns {
  readonly #atOnceMax: number;
  /** In turn. */
  readonly #waiting = new Map<string, Work[]>();
  readonly #running = new Map<string, Promise<void>>();

  constructor(atOnceMax: number) {
    this.#atOnceMax = atOnceMax;
  }

  /** `work` tells of its failures itself. */
  add(owner: string, work: Work): void {
    const all = this.#waiting.get(owner) ?? [];
    all.push(work);
    this.#waiting.set(owner, all);
    this.#begin();
  }

  /** What has not begun never does. */
  async stop(): Promise<void> {
    this.#waiting.clear();
    await Promise.all(this.#running.values());
  }

  #begin(): void {
    for (const [owner, all] of this.#waiting) {
      if (this.#running.size >= this.#atOnceMax) return;
      if (this.#running.has(owner)) continue;
      const work = all.shift();
      if (all.length === 0) this.#waiting.delete(owner);
      if (work === undefined) continue;
      const run = work().finally(() => this.#ended(owner));
      this.#running.set(owner, run);
    }
  }

  #ended(owner: string): void {
    this.#running.delete(owner);
    const others = this.#waiting.get(owner);
    if (others !== undefined) {
      this.#waiting.delete(owner);
      this.#waiting.set(owner, others);
    }
    this.#begin();
  }
}
