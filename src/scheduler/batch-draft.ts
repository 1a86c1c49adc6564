import { assertScheduler } from "./assert.js";
import { BatchSums } from "./batch-sums.js";
import type { BatchBounds } from "./policy.js";
import type { ItemEntry } from "./request-book.js";

/** A batch in the making: takes items of one batch key while they stay within the bounds. */
export class BatchDraft {
  readonly items: ItemEntry[] = [];
  readonly #bounds: BatchBounds;
  readonly #sums = new BatchSums();
  /** Takes no more: an item was refused, or the share is reached. */
  full = false;
  /** An item was refused: the batch is as large as it may be. */
  overflows = false;

  constructor(bounds: BatchBounds) {
    this.#bounds = bounds;
  }

  get paddedUnits(): number {
    return this.#sums.paddedUnits;
  }

  /** Whether the item came in; after the first that did not, the draft is full. */
  add(item: ItemEntry): boolean {
    if (this.full) return false;
    const batchKey = this.items[0]?.kin.batchKey ?? item.kin.batchKey;
    assertScheduler(item.kin.batchKey === batchKey, "a policy mixes batch keys");
    if (!this.#fits(item)) {
      this.full = true;
      this.overflows = true;
      return false;
    }
    this.items.push(item);
    this.#sums.add(item);
    if (this.#sums.effort >= this.#bounds.effortShare) this.full = true;
    return true;
  }

  #fits(item: ItemEntry): boolean {
    const { rowsMax, costMax, oversizeAlone } = this.#bounds;
    if (this.items.length === 0) return item.rows <= rowsMax || oversizeAlone;
    return this.#sums.rows + item.rows <= rowsMax && this.#sums.paddedUnitsWith(item) <= costMax;
  }
}
