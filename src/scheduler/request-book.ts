import type { WorkClass } from "millrace-client/wire";
import type { AgeLines } from "./age-lines.js";
import { assertScheduler } from "./assert.js";
import type { FedPipeline, HeldBatch } from "./fed-pipeline.js";
import { IdTable } from "./id-table.js";
import { OrderedHeap } from "./ordered-heap.js";
import { QueuedItems } from "./queued-items.js";
import { type Rank, rankOf } from "./rank.js";
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
  | { readonly kind: "held"; readonly pipeline: FedPipeline; readonly batch: HeldBatch }
  /** Its pipeline died; the ledger has not said yet what becomes of it. */
  | { readonly kind: "orphaned"; readonly pipelineId: string }
  /** It has its outcome, or nobody waits for it. */
  | { readonly kind: "over" };

export const queued: Whereabouts = { kind: "queued" };
export const grouped: Whereabouts = { kind: "grouped" };
const over: Whereabouts = { kind: "over" };

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
  /** Kept by the class queue. */
  readonly queued: QueuedItems;
  /** Of everybody and of its tenant, by length: while any of it is queued. */
  lines: readonly AgeLines[];
}

/** What its run costs, as far as can be told beforehand: each of its rows takes a step for each of its units. */
export function effortOf({ units, rows }: Pick<ItemEntry, "units" | "rows">): number {
  return units * rows;
}

function holdsWider(a: KeyGroup, b: KeyGroup): boolean {
  return a.widest > b.widest;
}

/** How many items of a model have no outcome yet. */
interface ModelItems {
  readonly model: string;
  items: number;
}

export interface RequestEntry {
  readonly requestId: number;
  readonly model: string;
  readonly class: WorkClass;
  readonly rank: Rank;
  readonly tenant: string;
  readonly deadlineAtMs: number | null;
  readonly arrivedMs: number;
  /** Order of arrival among all requests. */
  readonly sequence: number;
  /** By `order`; undefined: it has its outcome. */
  readonly items: (ItemEntry | undefined)[];
  openItems: number;
  readonly ofModel: ModelItems;
  /** All its items, by batch key. */
  readonly groups: Map<string, KeyGroup>;
  /** Groups with queued items, that with the widest item first. */
  readonly queuedGroups: OrderedHeap<KeyGroup>;
  queuedItems: number;
  queuedUnits: number;
  /** Of what is queued, as its tenant's queue has it; null: nothing is. */
  sizeClass: number | null;
}

/**
 * Lengths that may run together with little padding: eight buckets an octave, so that the narrowest of a bucket is
 * at least 0.91 of its widest. At most some four hundred buckets, whatever the widths.
 */
function lengthBucket(width: number): number {
  return Math.floor(8 * Math.log2(Math.max(1, width)));
}

function expiresBefore(a: RequestEntry, b: RequestEntry): boolean {
  return (a.deadlineAtMs ?? Infinity) < (b.deadlineAtMs ?? Infinity);
}

/** Ids of dropped items that died with their pipeline and whose late word is still let in; older ones are forgotten. */
const lateItemsMax = 65_536;

export class RequestBook {
  readonly #items = new IdTable<ItemEntry>();
  readonly #requests = new Map<number, RequestEntry>();
  readonly #ofModel = new Map<string, ModelItems>();
  readonly #late = new RecentIds(lateItemsMax);
  readonly #deadlines = new OrderedHeap<RequestEntry>(expiresBefore);
  #arrivals = 0;

  get requests(): number {
    return this.#requests.size;
  }

  add(spec: RequestSpec, nowMs: number, largeRows: number = Infinity): RequestEntry {
    const { requestId, model, items } = spec;
    assertScheduler(!this.#requests.has(requestId), () => `request ${requestId} came twice`);
    assertScheduler(items.length > 0, () => `request ${requestId} has no items`);
    const ofModel = this.#ofModel.get(model) ?? { model, items: 0 };
    this.#ofModel.set(model, ofModel);
    ofModel.items += items.length;
    const request: RequestEntry = {
      requestId,
      model,
      class: spec.class,
      rank: rankOf(spec, largeRows),
      tenant: spec.tenant,
      deadlineAtMs: spec.deadlineAtMs,
      arrivedMs: nowMs,
      sequence: this.#arrivals++,
      items: [],
      openItems: items.length,
      ofModel,
      groups: new Map(),
      queuedGroups: new OrderedHeap(holdsWider),
      queuedItems: 0,
      queuedUnits: 0,
      sizeClass: null,
    };
    for (const item of items.toSorted(isNarrower)) this.#addItem(request, item);
    this.#requests.set(requestId, request);
    if (request.deadlineAtMs !== null) this.#deadlines.add(request);
    return request;
  }

  #addItem(request: RequestEntry, spec: ItemSpec): void {
    const { itemId, units, width, rows, bytes, batchKey } = spec;
    assertScheduler(!this.#items.has(itemId), () => `item ${itemId} came twice`);
    assertScheduler(units > 0 && width > 0 && rows > 0, () => `item ${itemId} costs nothing`);
    const order = request.items.length;
    let kin = request.groups.get(batchKey);
    if (kin === undefined) {
      kin = { batchKey, widest: order, queued: new QueuedItems(), lines: [] };
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
      whereabouts: queued,
      dropped: false,
    };
    request.items.push(item);
    this.#items.set(itemId, item);
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
      () => `item ${itemId} is unknown, or had its outcome already`,
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
    // An old item that is dead, and not collected yet, would keep the batch that held it alive, and make it old too.
    item.whereabouts = over;
    const { request } = item;
    const { ofModel } = request;
    ofModel.items -= 1;
    if (ofModel.items === 0) this.#ofModel.delete(ofModel.model);
    request.items[item.order] = undefined;
    request.openItems -= 1;
    if (request.openItems === 0) this.close(request);
  }

  /** As `forget`, for an item of which the ledger may still speak. */
  forgetLate(item: ItemEntry): void {
    this.forget(item);
    this.#late.add(item.itemId);
  }

  /** No further outcome is owed to the caller; dropped items stay until their pipelines let go. */
  close(request: RequestEntry): void {
    this.#requests.delete(request.requestId);
    if (request.deadlineAtMs !== null) this.#deadlines.delete(request);
  }
}

function isNarrower(a: ItemSpec, b: ItemSpec): number {
  return a.width - b.width;
}

/** Those without an outcome, in packing order. */
export function openItemsOf(request: RequestEntry): ItemEntry[] {
  return request.items.filter((item) => item !== undefined);
}

/** Items of one request. */
export interface Share {
  readonly request: RequestEntry;
  readonly items: readonly ItemEntry[];
}

/** Items by their requests, in the order in which they come. */
export function byRequest(items: readonly ItemEntry[]): readonly Share[] {
  const first = items[0];
  if (first === undefined) return [];
  if (items.every(({ request }) => request === first.request))
    return [{ request: first.request, items }];
  const shares: { readonly request: RequestEntry; readonly items: ItemEntry[] }[] = [];
  let of: Map<RequestEntry, (typeof shares)[number]> | null = null;
  let last: (typeof shares)[number] | undefined;
  for (const item of items) {
    const { request } = item;
    if (last?.request !== request) {
      // Mostly those of a request come together, and most batches have few: a map is for the others.
      if (shares.length > 0) of ??= new Map(shares.map((share) => [share.request, share]));
      last = of?.get(request);
      if (last === undefined) {
        last = { request, items: [] };
        shares.push(last);
        of?.set(request, last);
      }
    }
    last.items.push(item);
  }
  return shares;
}
