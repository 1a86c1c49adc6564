/**
 * The lanes of an engine. They are by class, beams and a power of two of the input's width, so that rows of one lane
 * waste little; an item that must run by itself has a lane of its own.
 *
 * Memory: a lane with rows in it holds room for at most four times as many rows as are in it, or were within the last
 * `roomyStepsMax` steps (arena.ts). One that is empty is kept for `emptyRunsMax` runs, because the next sentence is
 * often like the last one.
 */
import type { ActiveItem } from "./active-item.js";
import { type ArenaShape, doubledWidth } from "./arena.js";
import { Lane } from "./lane.js";

const emptyRunsMax = 64;
/** What a lane may keep while the engine idles. */
const idleBytesMax = 4 * 1024 * 1024;

export interface LanesOptions {
  readonly shape: Pick<ArenaShape, "layers" | "heads" | "size">;
  readonly rowsMax: number;
}

export class Lanes {
  readonly #options: LanesOptions;
  readonly #lanes = new Map<string, Lane>();
  /** Runs since a lane was in use. */
  readonly #emptyRuns = new Map<Lane, number>();

  constructor(options: LanesOptions) {
    this.#options = options;
  }

  [Symbol.iterator](): IterableIterator<Lane> {
    return this.#lanes.values();
  }

  get(key: string): Lane {
    const lane = this.#lanes.get(key);
    if (lane === undefined) throw new Error(`there is no lane ${key}`);
    return lane;
  }

  get rows(): number {
    let rows = 0;
    for (const lane of this) rows += lane.rows;
    return rows;
  }

  get byteLength(): number {
    let bytes = 0;
    for (const lane of this) bytes += lane.arena.byteLength;
    return bytes;
  }

  /** The lane for an item whose input was encoded `width` wide; a new one takes the place of those that are empty. */
  laneFor(item: ActiveItem, width: number): Lane {
    const crossWidth = doubledWidth(width);
    const { workClass, rows, alone, itemId } = item;
    const key = alone ? `alone:${itemId}` : `${workClass}:${rows}:${crossWidth}`;
    const found = this.#lanes.get(key);
    if (found !== undefined) return found;
    for (const lane of this) if (lane.rows === 0) this.#forget(lane);
    const slotsMax = alone ? 1 : Math.max(1, Math.floor(this.#options.rowsMax / rows));
    const shape = { ...this.#options.shape, width: rows, crossWidth, slotsMax };
    const lane = new Lane({ key, workClass }, shape);
    this.#lanes.set(key, lane);
    return lane;
  }

  /** After each run: lanes that nobody came to for long give their memory back, while others work. */
  tidy(): void {
    for (const lane of this) {
      const runs = lane.rows > 0 ? 0 : (this.#emptyRuns.get(lane) ?? 0) + 1;
      this.#emptyRuns.set(lane, runs);
      if (runs > emptyRunsMax) this.#forget(lane);
    }
  }

  /** When there is nothing to do: what a busy hour needed is given back, what a single sentence needs is kept. */
  rest(): void {
    for (const lane of this) {
      if (lane.rows === 0 && lane.arena.byteLength > idleBytesMax) this.#forget(lane);
    }
  }

  #forget(lane: Lane): void {
    this.#lanes.delete(lane.key);
    this.#emptyRuns.delete(lane);
  }
}
