/**
 * Who has the next chunk where one server has all the jobs: the open jobs themselves. Tenants take turns, one chunk each; of one
 * tenant the oldest job goes first, and a younger one only where the older has nothing to give just now.
 *
 *   tenants in turn ─► jobs by age ─► what was given back and is due │ the next chunk without results
 */
import type { ChunkQueue, TakenChunk } from "./chunk-queue.js";
import type { JobStore, StoredJob } from "./store.js";

interface OpenJob {
  readonly job: StoredJob;
  /** No chunk before it is to be handed out, but for those that were given back. */
  next: number;
  readonly returned: { readonly index: number; readonly dueAtMs: number }[];
}

export class LocalQueue implements ChunkQueue {
  readonly #store: Pick<JobStore, "nextUndone">;
  /** The machine's, unless a test has its own. */
  readonly #now: () => number;
  /** In turn: who had a chunk goes to the end. */
  #tenants: { readonly name: string; readonly jobs: OpenJob[] }[] = [];
  readonly #known = new Set<string>();
  readonly #waiting = new Set<() => void>();
  #taking: Promise<unknown> = Promise.resolve();
  /** Something came since the look around began, which may have passed its place before. */
  #hasNews = false;

  constructor(store: Pick<JobStore, "nextUndone">, now: () => number = () => performance.now()) {
    this.#store = store;
    this.#now = now;
  }

  offer(job: StoredJob): Promise<void> {
    if (this.#known.has(job.id)) return Promise.resolve();
    this.#known.add(job.id);
    let tenant = this.#tenants.find(({ name }) => name === job.tenant);
    if (tenant === undefined) {
      tenant = { name: job.tenant, jobs: [] };
      this.#tenants.push(tenant);
    }
    const { jobs } = tenant;
    jobs.push({ job, next: 0, returned: [] });
    jobs.sort((left, right) => left.job.sequence - right.job.sequence);
    this.#wake();
    return Promise.resolve();
  }

  /** It loses none, but with the process. */
  offerLost(): Promise<void> {
    return Promise.resolve();
  }

  /** One after the other: two that look at the same time would find the same chunk. */
  take(signal: AbortSignal): Promise<TakenChunk> {
    const taken = this.#taking.then(() => this.#take(signal));
    this.#taking = taken.catch(() => undefined);
    return taken;
  }

  withdraw({ id, tenant: name }: StoredJob): Promise<void> {
    if (!this.#known.delete(id)) return Promise.resolve();
    const tenant = this.#tenants.find((each) => each.name === name);
    const at = tenant?.jobs.findIndex((each) => each.job.id === id) ?? -1;
    if (tenant !== undefined && at !== -1) tenant.jobs.splice(at, 1);
    this.#tenants = this.#tenants.filter(({ jobs }) => jobs.length > 0);
    return Promise.resolve();
  }

  /** There is no other server, and this one's runner knows what it runs. */
  isHeld(): Promise<boolean> {
    return Promise.resolve(false);
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#tenants = [];
    return Promise.resolve();
  }

  async #take(signal: AbortSignal): Promise<TakenChunk> {
    for (;;) {
      signal.throwIfAborted();
      this.#hasNews = false;
      for (const tenant of this.#tenants.slice()) {
        for (const open of tenant.jobs.slice()) {
          const index = await this.#nextOf(open);
          // Meanwhile it may have been withdrawn.
          if (index === null || !tenant.jobs.includes(open)) continue;
          this.#tenants = [...this.#tenants.filter((each) => each !== tenant), tenant];
          return this.#taken(open, index);
        }
      }
      if (!this.#hasNews) await this.#change(signal);
    }
  }

  /** Null: nothing just now. */
  async #nextOf(open: OpenJob): Promise<number | null> {
    const now = this.#now();
    const due = open.returned.findIndex(({ dueAtMs }) => dueAtMs <= now);
    const [again] = due === -1 ? [] : open.returned.splice(due, 1);
    if (again !== undefined) return again.index;
    // What could not be run just now holds the rest: it would be given back as well, all of it.
    if (open.returned.length > 0) return null;
    if (open.next >= open.job.chunks) return null;
    const index = await this.#store.nextUndone(open.job.id, open.next);
    open.next = Math.min(index + 1, open.job.chunks);
    return index < open.job.chunks ? index : null;
  }

  #taken(open: OpenJob, index: number): TakenChunk {
    return {
      jobId: open.job.id,
      index,
      // Only what was given back is handed out again.
      mayBeDone: false,
      done: () => Promise.resolve(),
      giveBack: (afterMs) => {
        open.returned.push({ index, dueAtMs: this.#now() + afterMs });
        this.#wake();
        return Promise.resolve();
      },
    };
  }

  /** Something was offered or given back, or is due. @throws the signal's reason */
  async #change(signal: AbortSignal): Promise<void> {
    const dues = this.#tenants.flatMap(({ jobs }) =>
      jobs.flatMap(({ returned }) => returned.map(({ dueAtMs }) => dueAtMs)),
    );
    const soonestMs = Math.min(...dues, Number.POSITIVE_INFINITY);
    let timer: NodeJS.Timeout | undefined;
    let onAbort = (): void => {};
    let onWake = (): void => {};
    try {
      await new Promise<void>((resolve, reject) => {
        onWake = resolve;
        onAbort = (): void => reject(signal.reason as Error);
        this.#waiting.add(onWake);
        signal.addEventListener("abort", onAbort, { once: true });
        if (Number.isFinite(soonestMs))
          timer = setTimeout(resolve, Math.max(0, Math.ceil(soonestMs - this.#now())));
      });
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(onWake);
      signal.removeEventListener("abort", onAbort);
    }
  }

  #wake(): void {
    this.#hasNews = true;
    for (const wake of this.#waiting) wake();
  }
}
