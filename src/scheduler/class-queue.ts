import type { WorkClass } from "millrace-client/wire";
import { type ArrivalRate, ArrivalRates } from "./arrival-rate.js";
import { OrderedHeap, type ReadonlyHeap } from "./ordered-heap.js";
import type { ItemEntry, KeyGroup, RequestEntry } from "./request-book.js";
import { cameBefore, KeyedHeaps, type RequestsBy } from "./request-heaps.js";
import { type TenantQueue, Tenants, type TenantView } from "./tenants.js";

/** What a policy sees of the queue of one model and class. */
export interface ClassQueueView {
  readonly class: WorkClass;
  readonly items: number;
  readonly rows: number;
  /** Requests with queued items, oldest first. */
  readonly oldest: ReadonlyHeap<RequestEntry>;
  /** Requests with queued items of a batch key, oldest first; undefined where there are none. */
  oldestOf(batchKey: string): ReadonlyHeap<RequestEntry> | undefined;
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
 * The queue of one model and class. Items stand in their request's lists, and requests in heaps by age; each of the
 * heaps answers one question of a policy without a scan.
 *
 * ```
 *   oldest ─────────────► r1 r2 r3 …                          who is over the age limit?
 *   oldestOf(k) ────────► r1 r3 …                             … and who may share a batch with it?
 *   byLength(k)[b] ─────► r1 r3 …                             who else has items of this key and about this length?
 *   tenants ──┬─────────► a ── bySize[s] ──────► r2 …         whose short request waits longest for its size?
 *             │             └─ byLength(k)[b] ─► r2 …         … and what of the same tenant packs well with it?
 *             └─────────► b ── …
 *   request.groups[k].byLength[b] = [item, item, …]           in packing order; taken from the wide end
 * ```
 * With L length buckets in a request (some eighty for texts, four hundred at the very most), a request enters, leaves
 * or changes in O(L log n) for each key that the change touches, an item in O(log n); no operation looks at all requests,
 * all items or all keys. Tenants and keys that nobody queues are forgotten, but for bounded remainders (`idleTenantsMax`,
 * `arrivalKeysMax`).
 */
export class ClassQueue implements ClassQueueView {
  readonly class: WorkClass;
  items = 0;
  units = 0;
  rows = 0;
  bytes = 0;
  windowOpen = false;
  readonly oldest: OrderedHeap<RequestEntry> = new OrderedHeap(cameBefore);
  readonly tenants: Tenants = new Tenants();
  readonly #oldestOf = new Map<string, OrderedHeap<RequestEntry>>();
  readonly #keyed = new KeyedHeaps();
  readonly #arrivals = new ArrivalRates();

  constructor(workClass: WorkClass) {
    this.class = workClass;
  }

  get fairest(): TenantQueue | undefined {
    return this.tenants.fairest;
  }

  /** Batch keys that somebody queues. */
  get keys(): number {
    return this.#keyed.keys;
  }

  oldestOf(batchKey: string): ReadonlyHeap<RequestEntry> | undefined {
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
    this.enqueue([...request.open.values()]);
    for (const { batchKey, queuedItems } of request.groups.values())
      this.#arrivals.arrived(batchKey, queuedItems, nowMs);
  }

  /** Queues items of one request: new ones, or ones that come back to their old place. */
  enqueue(items: readonly ItemEntry[]): void {
    const request = items[0]?.request;
    if (request === undefined) return;
    for (const item of items) {
      insertByOrder(item.kin.byLength, item);
      this.#count(item, 1);
    }
    this.#refresh(request, touchedBy(items));
  }

  /** Takes queued items of one request out. */
  dequeue(items: readonly ItemEntry[]): void {
    const request = items[0]?.request;
    if (request === undefined) return;
    const leaving = new Set(items);
    for (const item of items) this.#count(item, -1);
    const touched = touchedBy(items);
    for (const [{ byLength }, buckets] of touched)
      for (const [bucket, count] of buckets) removeAll(byLength, bucket, { leaving, count });
    this.#refresh(request, touched);
  }

  #count(item: ItemEntry, sign: 1 | -1): void {
    const { request, kin } = item;
    kin.queuedItems += sign;
    request.queuedItems += sign;
    request.queuedUnits += sign * item.units;
    this.items += sign;
    this.units += sign * item.units;
    this.rows += sign * item.rows;
    this.bytes += sign * item.bytes;
  }

  /** Sets the request's membership of every heap to what its queued items say. */
  #refresh(request: RequestEntry, touched: Touched): void {
    const tenant = this.tenants.queue(request.tenant);
    for (const [group, buckets] of touched) {
      this.#keyed.refresh(request, group.batchKey, buckets.keys());
      tenant.keyed.refresh(request, group.batchKey, buckets.keys());
      this.#refreshGroup(request, group);
    }
    const was = tenant.sizeOf.get(request);
    const size = request.queuedItems === 0 ? undefined : sizeClass(request.queuedUnits);
    if (was !== undefined && was !== size) tenant.bySize.drop(was, request);
    if (size === undefined) {
      tenant.sizeOf.delete(request);
      this.oldest.delete(request);
    } else {
      tenant.sizeOf.set(request, size);
      tenant.bySize.put(size, request);
      this.oldest.add(request);
    }
    if (tenant.sizeOf.size === 0) this.tenants.leave(tenant);
  }

  #refreshGroup(request: RequestEntry, group: KeyGroup): void {
    let oldest = this.#oldestOf.get(group.batchKey);
    if (oldest === undefined) {
      oldest = new OrderedHeap(cameBefore);
      this.#oldestOf.set(group.batchKey, oldest);
    }
    if (group.queuedItems > 0) {
      oldest.add(request);
      request.queuedGroups.add(group);
    } else {
      oldest.delete(request);
      request.queuedGroups.delete(group);
    }
    if (oldest.size === 0) this.#oldestOf.delete(group.batchKey);
  }
}

/** Groups and length buckets that items are in, and how many of them in each. */
type Touched = Map<KeyGroup, Map<number, number>>;

function touchedBy(items: readonly ItemEntry[]): Touched {
  const touched: Touched = new Map();
  for (const { kin, bucket } of items) {
    let buckets = touched.get(kin);
    if (buckets === undefined) {
      buckets = new Map();
      touched.set(kin, buckets);
    }
    buckets.set(bucket, (buckets.get(bucket) ?? 0) + 1);
  }
  return touched;
}

/** Two classes an octave: members of a class differ by less than a factor of 1.42 in what is left of them. */
function sizeClass(units: number): number {
  return Math.floor(2 * Math.log2(units));
}

function insertByOrder(queued: Map<number, ItemEntry[]>, item: ItemEntry): void {
  const list = queued.get(item.bucket);
  if (list === undefined) {
    queued.set(item.bucket, [item]);
    return;
  }
  let low = 0;
  let high = list.length;
  const last = list[high - 1];
  if (last === undefined || last.order < item.order) low = high;
  while (low < high) {
    const middle = (low + high) >> 1;
    const at = list[middle];
    if (at !== undefined && at.order < item.order) low = middle + 1;
    else high = middle;
  }
  list.splice(low, 0, item);
}

function removeAll(
  queued: Map<number, ItemEntry[]>,
  bucket: number,
  { leaving, count }: { readonly leaving: ReadonlySet<ItemEntry>; readonly count: number },
): void {
  const list = queued.get(bucket);
  if (list === undefined) return;
  // Policies take from the wide end, so this is where nearly all of them stand; only the rest costs a walk.
  let left = count;
  for (let last = list.at(-1); last !== undefined && leaving.has(last); last = list.at(-1)) {
    list.pop();
    left -= 1;
  }
  const rest = left > 0 ? list.filter((item) => !leaving.has(item)) : list;
  if (rest.length === 0) queued.delete(bucket);
  else queued.set(bucket, rest);
}
