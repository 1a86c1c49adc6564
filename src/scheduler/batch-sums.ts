import { effortOf, type ItemEntry } from "./request-book.js";

/**
 * What the items of a batch come to. In a batch everything is as wide as the widest, so an item's units are stretched by
 * widest / width; where units are what it pads to (tokens), that is items × widest.
 *
 * ```
 *   units  ▓▓▓▓▓▓▓░░░░░   7 of width 7      padded: 7 × 12/7
 *          ▓▓▓▓▓▓▓▓▓▓▓▓  12 of width 12           + 12 × 12/12   = 24
 * ```
 */
export class BatchSums {
  rows = 0;
  units = 0;
  /** Units × rows of each. */
  effort = 0;
  /** Of the widest item. */
  width = 0;
  /** Units for each unit of width, over all items. */
  #density = 0;

  get paddedUnits(): number {
    return this.#density * this.width;
  }

  add(item: ItemEntry): void {
    this.rows += item.rows;
    this.units += item.units;
    this.effort += effortOf(item);
    this.width = Math.max(this.width, item.width);
    this.#density += item.units / item.width;
  }

  /** What `paddedUnits` would be with this item too. */
  paddedUnitsWith(item: ItemEntry): number {
    return (this.#density + item.units / item.width) * Math.max(this.width, item.width);
  }
}
