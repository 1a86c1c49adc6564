import { AgeLines, KeyedLines, type RequestsBy } from "./age-lines.js";
import { OrderedHeap } from "./ordered-heap.js";

/** Read-only view of one tenant's queue. */
export interface TenantView {
  readonly tenant: string;
  /** Cost that it was served, in virtual milliseconds. */
  readonly servedMs: number;
  /** Requests by the size of what is left of them: two classes an octave of units. */
  readonly bySize: RequestsBy;
  /** Requests with queued items of a batch key, by length bucket; undefined where there are none. */
  byLength(batchKey: string): RequestsBy | undefined;
}

export class TenantQueue implements TenantView {
  readonly tenant: string;
  servedMs: number;
  readonly bySize: AgeLines = new AgeLines();
  readonly keyed: KeyedLines = new KeyedLines();
  /** Those with queued items. */
  requests = 0;

  constructor(tenant: string, servedMs: number) {
    this.tenant = tenant;
    this.servedMs = servedMs;
  }

  byLength(batchKey: string): RequestsBy | undefined {
    return this.keyed.get(batchKey);
  }
}

/** Tenants without queued work whose lead over the others is remembered; beyond it, the oldest is forgiven. */
const idleTenantsMax = 1_024;

/**
 * Fair shares between tenants: start-time fair queueing on the cost that each was served.
 *
 * ```
 *   served cost ──────────────────────────────────►
 *        a       c    b                      idle: d (remembered until the others have caught up)
 *        ▲ next   a tenant that comes (back) starts at the least of those that wait, never in credit
 * ```
 */
export class Tenants {
  readonly #waiting = new Map<string, TenantQueue>();
  readonly #idle = new Map<string, number>();
  readonly #fairest = new OrderedHeap<TenantQueue>(
    (a, b) => a.servedMs < b.servedMs || (a.servedMs === b.servedMs && a.tenant < b.tenant),
  );
  #virtualMs = 0;

  get size(): number {
    return this.#waiting.size;
  }

  /** Tenants without queued work that are remembered; for tests of leaks. */
  get remembered(): number {
    return this.#idle.size;
  }

  /** Of those that wait. */
  get names(): Iterable<string> {
    return this.#waiting.keys();
  }

  has(tenant: string): boolean {
    return this.#waiting.has(tenant);
  }

  /** The tenant that was served least; undefined where nobody waits. */
  get fairest(): TenantQueue | undefined {
    return this.#fairest.peek();
  }

  /** The tenant's queue, made when it is not there. */
  queue(tenant: string): TenantQueue {
    const known = this.#waiting.get(tenant);
    if (known !== undefined) return known;
    this.#catchUp();
    const queue = new TenantQueue(tenant, Math.max(this.#virtualMs, this.#idle.get(tenant) ?? 0));
    this.#idle.delete(tenant);
    this.#waiting.set(tenant, queue);
    this.#fairest.add(queue);
    return queue;
  }

  /** Charged when dispatched; called before the items leave, so the tenant still waits. */
  charge(tenant: string, costMs: number): void {
    const queue = this.queue(tenant);
    queue.servedMs += costMs;
    this.#fairest.moved(queue);
    this.#catchUp();
  }

  leave(queue: TenantQueue): void {
    this.#catchUp();
    this.#waiting.delete(queue.tenant);
    this.#fairest.delete(queue);
    if (this.#waiting.size === 0) {
      this.#idle.clear();
      return;
    }
    this.#idle.set(queue.tenant, queue.servedMs);
    const [oldest] = this.#idle.keys();
    if (this.#idle.size > idleTenantsMax && oldest !== undefined) this.#idle.delete(oldest);
  }

  #catchUp(): void {
    this.#virtualMs = Math.max(this.#virtualMs, this.#fairest.peek()?.servedMs ?? 0);
  }
}
