import type { WorkClass } from "millrace-client/wire";
import { assertScheduler } from "./assert.js";
import type { FedPipeline } from "./fed-pipeline.js";
import { OrderedHeap } from "./ordered-heap.js";
import { RecentIds } from "./recent-ids.js";
import type { ItemSpec, RequestSpec } from "./types.js";

/**
 * Who is where: every item without an outcome, from its request until it is settled, cancelled or expired.
 *
 * ```
 *            request                      dispatch                     settled
 *   (arrives) ─────► queued ────────────────────────────► held ────────────────► (forgotten)
 *                      ▲  ▲                              │   │ pipeline-down
 *             innocent │  └── returned by a live one ────┘   ▼
 *                      └───────────────────────────────── orphaned
 *                                   groups: grouped ◄────────┘
 * ```
 * An item whose caller left is forgotten at once, unless a pipeline holds it: then it is `dropped` and keeps
 * its rows until the pipeline lets go of it.
 */
export type Whereabouts =
  | { readonly kind: "queued" }
  /** In a group of suspects that waits for a pipeline of its own. */
  | { readonly kind: "grouped" }
  | { readonly kind: "held"; readonly pipeline: FedPipeline }
  /** Its pipeline died; the ledger has not said yet what becomes of it. */
  | { readonly kind: "orphaned"; readonly pipelineId: string };

export interface ItemEntry {
  readonly itemId: number;
  readonly units: number;
  readonly width: number;
  readonly rows: number;
  readonly bytes: number;
  readonly request: RequestEntry;
  /** The request's items of the same batch key. */
  readonly kin: KeyGroup;
  /** Rank in the request's packing order: by width, narrowest first. */
  readonly order: number;
  /** Length bucket of its width. */
  readonly bucket: number;
  whereabouts: Whereabouts;
  /** Cancelled or expired while a pipeline holds it. */
  dropped: boolean;
}

/** A request's items of one batch key: those of its items that may share a batch. */
export interface KeyGroup {
  readonly batchKey: string;
  /** Rank of its widest item in the request's packing order. */
  widest: number;
  /** Queued items by length bucket, each list in packing order; kept by the class queue. */
  readonly byLength: Map<number, ItemEntry[]>;
  queuedItems: number;
}

export interface RequestEntry {
  readonly requestId: number;
  readonly model: string;
  readonly class: WorkClass;
  readonly tenant: string;
  readonly deadlineAtMs: number | null;
  readonly arrivedMs: number;
  /** Order of arrival among all requests. */
  readonly sequence: number;
  /** Items without an outcome. */
  readonly open: Map<number, ItemEntry>;
  /** All its items, by batch key. */
  readonly groups: Map<string, KeyGroup>;
  /** Groups with queued items, that with the widest item first. */
  readonly queuedGroups: OrderedHeap<KeyGroup>;
  queuedItems: number;
  queuedUnits: number;
}

/**
 * Lengths that may run together with little padding: eight buckets an octave, so that the narrowest of a bucket is
 * at least 0.91 of its widest. At most some four hundred buckets, whatever the widths.
 */
function lengthBucket(width: number): number {
  return Math.floor(8 * Math.log2(Math.max(1, width)));
}

/** Ids of dropped items that died with their pipeline and whose late word is still let in; older ones are forgotten. */
const lateItemsMax = 65_536;

export class RequestBook {
  readonly #items = new Map<number, ItemEntry>();
  readonly #requests = new Map<number, RequestEntry>();
  /** Open items by model. */
  readonly #ofModel = new Map<string, number>();
  readonly #late = new RecentIds(lateItemsMax);
  readonly #deadlines = new OrderedHeap<RequestEntry>(
    (a, b) => (a.deadlineAtMs ?? Infinity) < (b.deadlineAtMs ?? Infinity),
  );
  #arrivals = 0;

  get requests(): number {
    return this.#requests.size;
  }

  add(spec: RequestSpec, nowMs: number): RequestEntry {
    assertScheduler(!this.#requests.has(spec.requestId), `request ${spec.requestId} came twice`);
    assertScheduler(spec.items.length > 0, `request ${spec.requestId} has no items`);
    const request: RequestEntry = {
      requestId: spec.requestId,
      model: spec.model,
      class: spec.class,
      tenant: spec.tenant,
      deadlineAtMs: spec.deadlineAtMs,
      arrivedMs: nowMs,
      sequence: this.#arrivals++,
      open: new Map(),
      groups: new Map(),
      queuedGroups: new OrderedHeap((a, b) => a.widest > b.widest),
      queuedItems: 0,
      queuedUnits: 0,
    };
    const packed = spec.items.toSorted((a, b) => a.width - b.width);
    for (const [order, item] of packed.entries()) this.#addItem(request, item, order);
    this.#requests.set(request.requestId, request);
    if (request.deadlineAtMs !== null) this.#deadlines.add(request);
    return request;
  }

  #addItem(request: RequestEntry, spec: ItemSpec, order: number): void {
    const { itemId, units, width, rows, bytes, batchKey } = spec;
    assertScheduler(!this.#items.has(itemId), `item ${itemId} came twice`);
    assertScheduler(units > 0 && width > 0 && rows > 0, `item ${itemId} costs nothing`);
    let kin = request.groups.get(batchKey);
    if (kin === undefined) {
      kin = { batchKey, widest: order, byLength: new Map(), queuedItems: 0 };
      request.groups.set(batchKey, kin);
    }
    kin.widest = order;
    const item: ItemEntry = {
      itemId,
      units,
      width,
      rows,
      bytes,
      request,
      kin,
      order,
      bucket: lengthBucket(width),
      whereabouts: { kind: "queued" },
      dropped: false,
    };
    request.open.set(itemId, item);
    this.#items.set(itemId, item);
    this.#ofModel.set(request.model, (this.#ofModel.get(request.model) ?? 0) + 1);
  }

  /** Whether an item of the model has no outcome yet, wherever it is. */
  isNamed(model: string): boolean {
    return this.#ofModel.has(model);
  }

  request(requestId: number): RequestEntry | undefined {
    return this.#requests.get(requestId);
  }

  /** Undefined only for an item that was dropped and whose pipeline has died since. */
  item(itemId: number): ItemEntry | undefined {
    const item = this.#items.get(itemId);
    assertScheduler(
      item !== undefined || this.#late.has(itemId),
      `item ${itemId} is unknown, or had its outcome already`,
    );
    return item;
  }

  /** Request whose deadline comes first. */
  get nextDeadline(): RequestEntry | undefined {
    return this.#deadlines.peek();
  }

  /** The item has its outcome, or nobody waits for it and no pipeline holds it. */
  forget(item: ItemEntry): void {
    if (!this.#items.delete(item.itemId)) return;
    const { model } = item.request;
    const left = (this.#ofModel.get(model) ?? 0) - 1;
    if (left > 0) this.#ofModel.set(model, left);
    else this.#ofModel.delete(model);
    item.request.open.delete(item.itemId);
    if (item.request.open.size === 0) this.close(item.request);
  }

  /** As `forget`, for an item of which the ledger may still speak. */
  forgetLate(item: ItemEntry): void {
    this.forget(item);
    this.#late.add(item.itemId);
  }

  /** No further outcome is owed to the caller; dropped items stay until their pipelines let go. */
  close(request: RequestEntry): void {
    this.#requests.delete(request.requestId);
    this.#deadlines.delete(request);
  }
}

/** Items by their requests, in the order in which they come. */
export function byRequest(items: Iterable<ItemEntry>): Map<RequestEntry, ItemEntry[]> {
  const grouped = new Map<RequestEntry, ItemEntry[]>();
  for (const item of items) {
    const siblings = grouped.get(item.request);
    if (siblings === undefined) grouped.set(item.request, [item]);
    else siblings.push(item);
  }
  return grouped;
}
