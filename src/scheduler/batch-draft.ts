import type { BatchBounds } from "./policy.js";
import type { ItemEntry } from "./request-book.js";
import type { Span } from "./types.js";

/** A batch in the making: takes items while they stay within the bounds. */
export class BatchDraft {
  readonly items: ItemEntry[] = [];
  readonly #bounds: BatchBounds;
  #rows = 0;
  #width = 0;
  /** Takes no more: an item was refused, or the share is reached. */
  full = false;
  /** An item was refused: the batch is as large as it may be. */
  overflows = false;

  constructor(bounds: BatchBounds) {
    this.#bounds = bounds;
  }

  get width(): number {
    return this.#width;
  }

  get paddedTokens(): number {
    return this.items.length * this.#width;
  }

  /** Whether the item came in; after the first that did not, the draft is full. */
  add(item: ItemEntry): boolean {
    if (this.full) return false;
    if (!this.#fits(item)) {
      this.full = true;
      this.overflows = true;
      return false;
    }
    this.items.push(item);
    this.#rows += item.rows;
    this.#width = Math.max(this.#width, item.tokens);
    if (this.#rows >= this.#bounds.rowsShare) this.full = true;
    return true;
  }

  #fits(item: ItemEntry): boolean {
    const { rowsMax, costMax, oversizeAlone } = this.#bounds;
    if (this.items.length === 0) return item.rows <= rowsMax || oversizeAlone;
    const padded = (this.items.length + 1) * Math.max(this.#width, item.tokens);
    return this.#rows + item.rows <= rowsMax && padded <= costMax;
  }
}

/** The request's items of a length bucket in the order in which they are taken: longest first. */
export function* takeOrder(list: readonly ItemEntry[] | undefined): Generator<ItemEntry> {
  if (list === undefined) return;
  for (let at = list.length - 1; at >= 0; at -= 1) {
    const item = list[at];
    if (item !== undefined) yield item;
  }
}

/** Items by request, each span in its request's packing order; requests in the order of their first item. */
export function spansOf(items: readonly ItemEntry[]): Span[] {
  const byRequest = new Map<number, ItemEntry[]>();
  for (const item of items) {
    const list = byRequest.get(item.request.requestId);
    if (list === undefined) byRequest.set(item.request.requestId, [item]);
    else list.push(item);
  }
  return [...byRequest].map(([requestId, list]) => ({
    requestId,
    itemIds: list.toSorted((a, b) => a.order - b.order).map((item) => item.itemId),
  }));
}
