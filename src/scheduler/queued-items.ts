import { SchedulerBug } from "./assert.js";
import { firstPlace } from "./first-place.js";
import type { ItemEntry } from "./request-book.js";

/**
 * Queued items of one request and one batch key, in packing order: narrowest first. So those of a length bucket stand together,
 * and are found by binary search.
 *
 * ```
 *   bucket  22 22 24 24 24 25          taken from the wide end of all, or of a bucket
 *   order    0  1  2  3  5  6
 * ```
 */
export class QueuedItems {
  readonly #items: ItemEntry[] = [];

  get size(): number {
    return this.#items.length;
  }

  /** Null: nothing is queued. */
  get widestBucket(): number | null {
    return this.#items.at(-1)?.bucket ?? null;
  }

  /** Narrowest first. */
  at(place: number): ItemEntry | undefined {
    return this.#items[place];
  }

  /** How many items are in this bucket or narrower ones: the widest of them stands before. */
  endOf(bucket: number): number {
    return firstPlace(this.#items, bucketOf, bucket + 1);
  }

  /** Whether it is the only one of its bucket now. */
  add(item: ItemEntry): boolean {
    const items = this.#items;
    const last = items.at(-1);
    if (last === undefined || last.order < item.order) {
      items.push(item);
      return last?.bucket !== item.bucket;
    }
    const place = this.#placeOf(item);
    items.splice(place, 0, item);
    return !this.#isBeside(place, item);
  }

  /** Whether it was the last one of its bucket. */
  remove(item: ItemEntry): boolean {
    const items = this.#items;
    if (items.at(-1) === item) {
      items.pop();
      return items.at(-1)?.bucket !== item.bucket;
    }
    const place = this.#placeOf(item);
    const [gone] = items.splice(place, 1);
    if (gone !== item) throw new SchedulerBug(`item ${item.itemId} is not queued`);
    return items[place - 1]?.bucket !== item.bucket && items[place]?.bucket !== item.bucket;
  }

  #isBeside(place: number, { bucket }: ItemEntry): boolean {
    return this.#items[place - 1]?.bucket === bucket || this.#items[place + 1]?.bucket === bucket;
  }

  #placeOf({ order }: ItemEntry): number {
    return firstPlace(this.#items, orderOf, order);
  }
}

function bucketOf({ bucket }: ItemEntry): number {
  return bucket;
}

function orderOf({ order }: ItemEntry): number {
  return order;
}
