/** How many jobs have not ended, by tenant: what a store tells of each job, in memory. */

/** Jobs that have not ended. */
export interface OpenCount {
  readonly all: number;
  readonly ofTenant: number;
}

export class OpenTally {
  readonly #tenants = new Map<string, string>();
  readonly #counts = new Map<string, number>();

  /** Again, of the same: nothing. Null: it has ended, or is gone. */
  see(jobId: string, open: { readonly tenant: string } | null): void {
    const before = this.#tenants.get(jobId);
    if (before !== undefined) this.#count(before, -1);
    if (open === null) this.#tenants.delete(jobId);
    else {
      this.#tenants.set(jobId, open.tenant);
      this.#count(open.tenant, 1);
    }
  }

  of(tenant: string): OpenCount {
    return { all: this.#tenants.size, ofTenant: this.#counts.get(tenant) ?? 0 };
  }

  clear(): void {
    this.#tenants.clear();
    this.#counts.clear();
  }

  #count(tenant: string, more: 1 | -1): void {
    const count = (this.#counts.get(tenant) ?? 0) + more;
    if (count > 0) this.#counts.set(tenant, count);
    else this.#counts.delete(tenant);
  }
}
