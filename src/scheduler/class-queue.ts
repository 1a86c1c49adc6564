import { AgeLine, type ReadonlyLine } from "./age-line.js";
import { KeyedLines, type RequestsBy } from "./age-lines.js";
import { type ArrivalRate, ArrivalRates } from "./arrival-rate.js";
import { DeadlineSums } from "./deadline-sums.js";
import type { Rank } from "./rank.js";
import { RecentSum } from "./recent-sum.js";
import {
  effortOf,
  type ItemEntry,
  type KeyGroup,
  openItemsOf,
  type RequestEntry,
} from "./request-book.js";
import { type TenantQueue, Tenants, type TenantView } from "./tenants.js";

/** What a policy sees of the queue of one model and rank. */
export interface ClassQueueView {
  readonly rank: Rank;
  readonly items: number;
  readonly rows: number;
  /** Requests with queued items, oldest first. */
  readonly oldest: ReadonlyLine;
  /** Requests with queued items of a batch key, oldest first; undefined where there are none. */
  oldestOf(batchKey: string): ReadonlyLine | undefined;
  /** The same by length bucket, of all tenants. */
  byLength(batchKey: string): RequestsBy | undefined;
  /** The tenant that was served least. */
  readonly fairest: TenantView | undefined;
  /** How often items of this batch key come. */
  arrivals(batchKey: string): ArrivalRate;
  /** Whether a pipeline was kept waiting for a fuller batch since the last one left. */
  readonly windowOpen: boolean;
}

/**
 * The queue of one model and rank. Items stand in their request's lists, and requests in lines by age; each of the
 * lines answers one question of a policy without a scan.
 *
 * ```
 *   oldest ─────────────► r1 r2 r3 …                          who is over the age limit?
 *   oldestOf(k) ────────► r1 r3 …                             … and who may share a batch with it?
 *   byLength(k)[b] ─────► r1 r3 …                             who else has items of this key and about this length?
 *   tenants ──┬─────────► a ── bySize[s] ──────► r2 …         whose short request waits longest for its size?
 *             │             └─ byLength(k)[b] ─► r2 …         … and what of the same tenant packs well with it?
 *             └─────────► b ── …
 *   request.groups[k].queued = [item, item, …]                in packing order; taken from the wide end
 * ```
 * With L length buckets in a request (some eighty for texts, four hundred at the very most), a request enters, leaves
 * or changes in O(L log n) for each key that the change touches, an item in O(log n); no operation looks at all requests,
 * all items or all keys. Tenants and keys that nobody queues are forgotten, but for bounded remainders (`idleTenantsMax`,
 * `arrivalKeysMax`).
 */
export class ClassQueue implements ClassQueueView {
  readonly rank: Rank;
  items = 0;
  units = 0;
  rows = 0;
  /** Units × rows of each. */
  effort = 0;
  bytes = 0;
  windowOpen = false;
  readonly oldest: AgeLine = new AgeLine();
  readonly tenants: Tenants = new Tenants();
  readonly #oldestOf = new Map<string, AgeLine>();
  readonly #keyed = new KeyedLines();
  readonly #arrivals = new ArrivalRates();
  /** Of `effort`. */
  readonly deadlines: DeadlineSums = new DeadlineSums();
  /** Effort of requests that came within the age limit. */
  readonly #younger: RecentSum;

  constructor(rank: Rank, ageLimitMs: number) {
    this.rank = rank;
    this.#younger = new RecentSum(ageLimitMs);
  }

  /** Effort of all that came within the age limit, be it still queued or not. */
  younger(nowMs: number): number {
    return this.#younger.at(nowMs);
  }

  get fairest(): TenantQueue | undefined {
    return this.tenants.fairest;
  }

  /** Batch keys that somebody queues. */
  get keys(): number {
    return this.#keyed.keys;
  }

  oldestOf(batchKey: string): ReadonlyLine | undefined {
    return this.#oldestOf.get(batchKey);
  }

  byLength(batchKey: string): RequestsBy | undefined {
    return this.#keyed.get(batchKey);
  }

  arrivals(batchKey: string): ArrivalRate {
    return this.#arrivals.of(batchKey);
  }

  /** Queues all of a new request. */
  arrive(request: RequestEntry, nowMs: number): void {
    const before = this.effort;
    this.enqueue(openItemsOf(request));
    this.#younger.add(this.effort - before, nowMs);
    for (const { batchKey, queued } of request.groups.values())
      this.#arrivals.arrived(batchKey, queued.size, nowMs);
  }

  /** Queues items of one request: new ones, or ones that come back to their old place. */
  enqueue(items: readonly ItemEntry[]): void {
    const request = items[0]?.request;
    if (request === undefined) return;
    const tenant = this.tenants.queue(request.tenant);
    for (const item of items) {
      const { kin, bucket } = item;
      if (kin.queued.size === 0) this.#joinKey(request, kin, tenant);
      if (kin.queued.add(item)) for (const lines of kin.lines) lines.put(bucket, request);
      this.#count(item, 1);
    }
    this.#resize(request, tenant);
  }

  /** Takes queued items of one request out. Widest first costs least. */
  dequeue(items: readonly ItemEntry[]): void {
    const request = items[0]?.request;
    if (request === undefined) return;
    const tenant = this.tenants.queue(request.tenant);
    for (const item of items) {
      const { kin, bucket } = item;
      if (kin.queued.remove(item)) for (const lines of kin.lines) lines.drop(bucket, request);
      if (kin.queued.size === 0) this.#leaveKey(request, kin, tenant);
      this.#count(item, -1);
    }
    this.#resize(request, tenant);
  }

  #count(item: ItemEntry, sign: 1 | -1): void {
    const { request, units, rows, bytes } = item;
    const effort = sign * effortOf(item);
    request.queuedItems += sign;
    request.queuedUnits += sign * units;
    this.items += sign;
    this.units += sign * units;
    this.rows += sign * rows;
    this.effort += effort;
    this.deadlines.add(request.deadlineAtMs, effort);
    this.bytes += sign * bytes;
  }

  #joinKey(request: RequestEntry, group: KeyGroup, tenant: TenantQueue): void {
    group.lines = [this.#keyed.of(group.batchKey), tenant.keyed.of(group.batchKey)];
    let oldest = this.#oldestOf.get(group.batchKey);
    if (oldest === undefined) {
      oldest = new AgeLine();
      this.#oldestOf.set(group.batchKey, oldest);
    }
    oldest.add(request);
    request.queuedGroups.add(group);
  }

  #leaveKey(request: RequestEntry, group: KeyGroup, tenant: TenantQueue): void {
    group.lines = [];
    this.#keyed.forgetIfEmpty(group.batchKey);
    tenant.keyed.forgetIfEmpty(group.batchKey);
    request.queuedGroups.delete(group);
    const oldest = this.#oldestOf.get(group.batchKey);
    oldest?.delete(request);
    if (oldest?.size === 0) this.#oldestOf.delete(group.batchKey);
  }

  /** After what is left of the request changed. */
  #resize(request: RequestEntry, tenant: TenantQueue): void {
    const was = request.sizeClass;
    const size = request.queuedItems === 0 ? null : sizeClass(request.queuedUnits);
    if (was === size) return;
    if (was === null) this.oldest.add(request);
    else tenant.bySize.drop(was, request);
    if (size === null) this.oldest.delete(request);
    else tenant.bySize.put(size, request);
    request.sizeClass = size;
    tenant.requests += Number(size !== null) - Number(was !== null);
    if (tenant.requests === 0) this.tenants.leave(tenant);
  }
}

/** Two classes an octave: members of a class differ by less than a factor of 1.42 in what is left of them. */
function sizeClass(units: number): number {
  return Math.floor(2 * Math.log2(units));
}
