import { OrderedHeap, type ReadonlyHeap } from "./ordered-heap.js";
import type { RequestEntry } from "./request-book.js";

/** Requests that came first stand first. */
export function cameBefore(a: RequestEntry, b: RequestEntry): boolean {
  return a.sequence < b.sequence;
}

/** Requests by a number, a length bucket or a size class, each list oldest first. */
export type RequestsBy = ReadonlyMap<number, ReadonlyHeap<RequestEntry>>;

/** Heaps of requests by a number; empty heaps are not kept. */
export class RequestHeaps extends Map<number, OrderedHeap<RequestEntry>> {
  put(number: number, request: RequestEntry): void {
    let heap = this.get(number);
    if (heap === undefined) {
      heap = new OrderedHeap(cameBefore);
      this.set(number, heap);
    }
    heap.add(request);
  }

  drop(number: number, request: RequestEntry): void {
    const heap = this.get(number);
    heap?.delete(request);
    if (heap?.size === 0) this.delete(number);
  }
}

/**
 * Requests by batch key and length bucket. Callers choose keys as they like, so a key is forgotten with its last queued
 * item: there are never more of them than queued items.
 */
export class KeyedHeaps {
  readonly #byKey = new Map<string, RequestHeaps>();

  get keys(): number {
    return this.#byKey.size;
  }

  /** Undefined where nobody queues the key. */
  get(batchKey: string): RequestsBy | undefined {
    return this.#byKey.get(batchKey);
  }

  /** The request has, or no longer has, queued items of this key in these buckets. */
  refresh(request: RequestEntry, batchKey: string, buckets: Iterable<number>): void {
    const queued = request.groups.get(batchKey)?.byLength;
    let heaps = this.#byKey.get(batchKey);
    if (heaps === undefined) {
      heaps = new RequestHeaps();
      this.#byKey.set(batchKey, heaps);
    }
    for (const bucket of buckets) {
      if (queued?.has(bucket) === true) heaps.put(bucket, request);
      else heaps.drop(bucket, request);
    }
    if (heaps.size === 0) this.#byKey.delete(batchKey);
  }
}
