import type { WorkClass } from "millrace-client/wire";
import { assertScheduler } from "./assert.js";
import { OrderedHeap } from "./ordered-heap.js";
import type { RequestSpec } from "./types.js";

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
export type Place =
  | { readonly kind: "queued" }
  /** In a group of suspects that waits for a pipeline of its own. */
  | { readonly kind: "grouped" }
  | { readonly kind: "held"; readonly pipelineId: string }
  /** Its pipeline died; the ledger has not said yet what becomes of it. */
  | { readonly kind: "orphaned"; readonly pipelineId: string };

export interface ItemEntry {
  readonly itemId: number;
  readonly tokens: number;
  readonly rows: number;
  readonly request: RequestEntry;
  /** Rank in the request's packing order: by length, shortest first. */
  readonly order: number;
  readonly bucket: number;
  place: Place;
  /** Cancelled or expired while a pipeline holds it. */
  dropped: boolean;
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
  /** Queued items by length bucket, each list in packing order; kept by the lane. */
  readonly queued: Map<number, ItemEntry[]>;
  queuedItems: number;
  queuedTokens: number;
  queuedRows: number;
}

/**
 * Lengths that may run together with little padding: eight buckets an octave, so that the shortest of a bucket is
 * at least 0.91 of its longest.
 */
export function lengthBucket(tokens: number): number {
  return Math.floor(8 * Math.log2(Math.max(1, tokens)));
}

/** Ids of dropped items that died with their pipeline and whose late word is still let in; older ones are forgotten. */
const lateItemsMax = 65_536;

export class RequestBook {
  readonly #items = new Map<number, ItemEntry>();
  readonly #requests = new Map<number, RequestEntry>();
  readonly #late = new Set<number>();
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
      queued: new Map(),
      queuedItems: 0,
      queuedTokens: 0,
      queuedRows: 0,
    };
    const packed = spec.items.toSorted((a, b) => a.tokens - b.tokens);
    for (const [order, { itemId, tokens, rows }] of packed.entries()) {
      assertScheduler(!this.#items.has(itemId), `item ${itemId} came twice`);
      assertScheduler(tokens > 0 && rows > 0, `item ${itemId} costs nothing`);
      const bucket = lengthBucket(tokens);
      const place: Place = { kind: "queued" };
      const item = { itemId, tokens, rows, request, order, bucket, place, dropped: false };
      request.open.set(itemId, item);
      this.#items.set(itemId, item);
    }
    this.#requests.set(request.requestId, request);
    if (request.deadlineAtMs !== null) this.#deadlines.add(request);
    return request;
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
    this.#items.delete(item.itemId);
    item.request.open.delete(item.itemId);
    if (item.request.open.size === 0) this.close(item.request);
  }

  /** As `forget`, for an item of which the ledger may still speak. */
  forgetLate(item: ItemEntry): void {
    this.forget(item);
    this.#late.add(item.itemId);
    const [oldest] = this.#late;
    if (this.#late.size > lateItemsMax && oldest !== undefined) this.#late.delete(oldest);
  }

  /** No further outcome is owed to the caller; dropped items stay until their pipelines let go. */
  close(request: RequestEntry): void {
    this.#requests.delete(request.requestId);
    this.#deadlines.delete(request);
  }
}
