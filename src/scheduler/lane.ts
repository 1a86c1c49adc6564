import type { WorkClass } from "millrace-client/wire";
import { ArrivalRate } from "./linger.js";
import { OrderedHeap, type ReadonlyHeap } from "./ordered-heap.js";
import type { ItemEntry, RequestEntry } from "./request-book.js";
import { cameBefore, HeapIndex, type TenantQueue, Tenants, type TenantView } from "./tenants.js";

/** What a policy sees of the queue of one model and class. */
export interface LaneView {
  readonly class: WorkClass;
  readonly items: number;
  readonly tokens: number;
  readonly rows: number;
  /** Requests with queued items, oldest first. */
  readonly oldest: ReadonlyHeap<RequestEntry>;
  /** Requests with queued items of a length bucket, of all tenants, oldest first. */
  readonly byLength: ReadonlyMap<number, ReadonlyHeap<RequestEntry>>;
  /** The tenant that was served least. */
  readonly fairest: TenantView | undefined;
  readonly arrivals: ArrivalRate;
  /** Whether a pipeline was kept waiting for a fuller batch since the last one left. */
  readonly windowOpen: boolean;
}

/**
 * The queue of one model and class. Items stand in their request's lists, and requests in heaps by age; each of the
 * heaps answers one question of a policy without a scan.
 *
 * ```
 *   oldest ────────► r1 r2 r3 …                       who is over the age limit?
 *   byLength[b] ───► r1 r3 …                          who else has items of about this length?
 *   tenants ──┬────► a ── bySize[s] ───► r2 …         whose short request waits longest for its size?
 *             │        └─ byLength[b] ─► r2 …         … and what of the same tenant packs well with it?
 *             └────► b ── …
 *   request.queued[b] = [item, item, …]               in packing order; taken from the long end
 * ```
 * With L length buckets in a request (at most about 80), a request enters, leaves or changes in O(L log n), an item in
 * O(log n); no operation looks at all requests or all items.
 */
export class Lane implements LaneView {
  readonly class: WorkClass;
  items = 0;
  tokens = 0;
  rows = 0;
  windowOpen = false;
  readonly oldest: OrderedHeap<RequestEntry> = new OrderedHeap(cameBefore);
  readonly byLength: HeapIndex = new HeapIndex();
  readonly tenants: Tenants = new Tenants();
  readonly arrivals: ArrivalRate = new ArrivalRate();

  constructor(workClass: WorkClass) {
    this.class = workClass;
  }

  get fairest(): TenantQueue | undefined {
    return this.tenants.fairest;
  }

  /** Queues items of one request: new ones, or ones that come back to their old place. */
  enqueue(items: readonly ItemEntry[]): void {
    const request = items[0]?.request;
    if (request === undefined) return;
    const touched = new Set<number>();
    for (const item of items) {
      insertByOrder(request.queued, item);
      this.#count(item, 1);
      touched.add(item.bucket);
    }
    this.#refresh(request, touched);
  }

  /** Takes queued items of one request out. */
  dequeue(items: readonly ItemEntry[]): void {
    const request = items[0]?.request;
    if (request === undefined) return;
    const touched = new Set<number>();
    const leaving = new Set(items);
    for (const item of items) {
      this.#count(item, -1);
      touched.add(item.bucket);
    }
    for (const bucket of touched) removeAll(request.queued, bucket, leaving);
    this.#refresh(request, touched);
  }

  #count(item: ItemEntry, sign: 1 | -1): void {
    const { request } = item;
    request.queuedItems += sign;
    request.queuedTokens += sign * item.tokens;
    request.queuedRows += sign * item.rows;
    this.items += sign;
    this.tokens += sign * item.tokens;
    this.rows += sign * item.rows;
  }

  /** Sets the request's membership of every heap to what its queued items say. */
  #refresh(request: RequestEntry, touched: ReadonlySet<number>): void {
    const tenant = this.tenants.queue(request.tenant);
    for (const bucket of touched) {
      for (const index of [this.byLength, tenant.byLength]) {
        if (request.queued.has(bucket)) index.put(bucket, request);
        else index.drop(bucket, request);
      }
    }
    const was = tenant.sizeOf.get(request);
    const size = request.queuedItems === 0 ? undefined : sizeClass(request.queuedTokens);
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
}

/** Two classes an octave: members of a class differ by less than a factor of 1.42 in what is left of them. */
function sizeClass(tokens: number): number {
  return Math.floor(2 * Math.log2(tokens));
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
  leaving: ReadonlySet<ItemEntry>,
): void {
  const list = queued.get(bucket);
  if (list === undefined) return;
  // Policies take from the long end, so this is where nearly all of them stand.
  for (let last = list.at(-1); last !== undefined && leaving.has(last); last = list.at(-1)) {
    list.pop();
  }
  const rest = list.some((item) => leaving.has(item))
    ? list.filter((item) => !leaving.has(item))
    : list;
  if (rest.length === 0) queued.delete(bucket);
  else queued.set(bucket, rest);
}
