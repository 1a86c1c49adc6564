/**
 * Which jobs have not ended, each in one group (its tenant, or the file that it reads), and how many are in each: what a store tells of
 * each job, in memory.
 */
import { Counts } from "../work/counts.js";

/** Jobs that have not ended. */
export interface OpenCount {
  readonly all: number;
  readonly ofTenant: number;
}

export class OpenTally {
  readonly #groups = new Map<string, string>();
  readonly #counts = new Counts();

  /** Again, of the same: nothing. Null: it has ended, or is gone. */
  see(jobId: string, group: string | null): void {
    const before = this.#groups.get(jobId) ?? null;
    if (before === group) return;
    if (before !== null) this.#counts.add(before, -1);
    if (group === null) this.#groups.delete(jobId);
    else {
      this.#groups.set(jobId, group);
      this.#counts.add(group, 1);
    }
  }

  has(group: string): boolean {
    return this.#counts.of(group) > 0;
  }

  /** Where groups are tenants. */
  of(tenant: string): OpenCount {
    return { all: this.#counts.all, ofTenant: this.#counts.of(tenant) };
  }

  clear(): void {
    this.#groups.clear();
    this.#counts.clear();
  }
}
