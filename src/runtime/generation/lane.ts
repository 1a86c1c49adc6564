/** Items that advance together: an arena, and for each slot the item that stands in it. */
import type { WorkClass } from "millrace-client/wire";
import type { ActiveItem } from "./active-item.js";
import { Arena, type ArenaShape, type EncodedBatch } from "./arena.js";
import type { LaneLoad } from "./choosing.js";
import type { Candidates } from "./search/search.js";

export class Lane implements LaneLoad {
  readonly key: string;
  readonly workClass: WorkClass;
  readonly arena: Arena;
  readonly items: ActiveItem[] = [];
  /** Newest token of each physical row. */
  readonly tokens: Int32Array;

  constructor({ key, workClass }: Pick<LaneLoad, "key" | "workClass">, shape: ArenaShape) {
    this.key = key;
    this.workClass = workClass;
    this.arena = new Arena(shape);
    this.tokens = new Int32Array(shape.slotsMax * shape.width);
  }

  get crossWidth(): number {
    return this.arena.shape.crossWidth;
  }

  get beams(): number {
    return this.arena.shape.width;
  }

  get rows(): number {
    return this.arena.count * this.arena.shape.width;
  }

  /** Throws `RangeError` where there is no memory for it; then the lane is as it was. */
  add(item: ActiveItem, encoded: EncodedBatch, index: number): void {
    const slot = this.arena.add(encoded, index, item.tokens);
    this.items[slot] = item;
    for (let beam = 0; beam < item.search.width; beam += 1) item.rowOf[beam] = beam;
    this.#putTokens(slot, item);
  }

  remove(slot: number): void {
    const moved = this.arena.remove(slot);
    const last = this.items.pop();
    if (moved === -1 || last === undefined) return;
    this.items[slot] = last;
    this.#putTokens(slot, last);
  }

  /**
   * Lets the item's search choose from the step's candidates; true when it has ended. Where the search throws, the
   * other slots are as they should be; remove this one.
   */
  advance(slot: number, candidates: Candidates): boolean {
    const item = this.#itemAt(slot);
    if (item.search.advance(candidates, item.rowOf)) return true;
    this.#reorder(slot, item);
    this.#putTokens(slot, item);
    return false;
  }

  /**
   * The first child of a hypothesis stays in its row, so that only a second child costs a copy; it takes the row
   * of a hypothesis without children. Rows keep no order, `rowOf` does.
   */
  #reorder(slot: number, item: ActiveItem): void {
    const { parents, width } = item.search;
    if (width === 1) return;
    const next = new Int32Array(width).fill(-1);
    const taken = new Set<number>();
    for (let beam = 0; beam < width; beam += 1) {
      const row = item.rowOf[parents[beam] ?? 0] ?? 0;
      if (taken.has(row)) continue;
      taken.add(row);
      next[beam] = row;
    }
    let free = 0;
    for (let beam = 0; beam < width; beam += 1) {
      if (next[beam] !== -1) continue;
      while (taken.has(free)) free += 1;
      taken.add(free);
      next[beam] = free;
      this.arena.copyRow(slot, item.rowOf[parents[beam] ?? 0] ?? 0, free);
    }
    item.rowOf.set(next);
  }

  #putTokens(slot: number, item: ActiveItem): void {
    const { width, tokens } = item.search;
    for (let beam = 0; beam < width; beam += 1) {
      this.tokens[slot * width + (item.rowOf[beam] ?? 0)] = tokens[beam] ?? 0;
    }
  }

  #itemAt(slot: number): ActiveItem {
    const item = this.items[slot];
    if (item === undefined) throw new Error(`no item in slot ${slot}`);
    return item;
  }
}
