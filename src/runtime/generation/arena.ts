/**
 * Key/value caches of the sentences that generate side by side: dense, one slot for each sentence, `width` rows a slot.
 *
 *   past_k.l, past_v.l     [slots × width, heads, pastWidth, size]     written in place by each step, one token
 *     row r   ├─ head 0 ── token 0 │ token 1 │ … │ zeros behind `lengths` ┤─ head 1 ── …
 *   cross_k.l, cross_v.l   [slots, heads, crossWidth, size]            written once, shared by the slot's rows
 *     finite behind `crossLengths`: zeros, and what the encoder made of padded places
 *
 * What is masked may still be multiplied, and what an item left behind that failed might be no number: so what leaves is erased.
 *
 * Slots 0..count−1 are in use, so that a run reads a prefix of each array without a copy. A slot that leaves is
 * overwritten by the last one. Widths of inputs and of the past are multiples of 16: then a row's result does not depend on them.
 *
 * Width and slots follow what is in use. Both grow when they must: the width by 16, since a step takes as long as its rows are
 * wide, the memory for it by doubling. They shrink when a quarter of the width, or three
 * quarters of the slots, were not needed for `roomyStepsMax` steps, so that a copy is paid for by the steps it makes
 * cheaper. An array that is a little too large is kept: the next growth finds it.
 */
import { cacheHeadSize } from "../../models/cache-head-size.js";

export const widthStep: number = 16;
/** Steps with room to spare after which the arena shrinks. */
export const roomyStepsMax: number = 32;
/** Rows that an arena has from the beginning, where its slots allow. */
const rowsFirst = 8;

export interface ArenaShape {
  readonly layers: number;
  readonly heads: number;
  readonly size: number;
  /** Rows of a slot: the beams. */
  readonly width: number;
  readonly crossWidth: number;
  readonly slotsMax: number;
}

export interface CacheLayer {
  pastKey: Float32Array;
  pastValue: Float32Array;
  crossKey: Float32Array;
  crossValue: Float32Array;
}

/** What the encoder made of some sentences: `[B, heads, width, size]` for each layer. */
export interface EncodedBatch {
  readonly width: number;
  readonly keys: readonly Float32Array[];
  readonly values: readonly Float32Array[];
}

/** As a model's manifest has them. */
export function cacheShapeOf(model: {
  readonly decoderLayers: number;
  readonly decoderHeads: number;
  readonly width: number;
}): Pick<ArenaShape, "layers" | "heads" | "size"> {
  const { decoderLayers: layers, decoderHeads: heads, width } = model;
  return { layers, heads, size: cacheHeadSize(width / heads) };
}

export function padWidth(tokens: number): number {
  return Math.max(1, Math.ceil(tokens / widthStep)) * widthStep;
}

/** The least of 16, 32, 64, … that holds so many tokens. Inputs stand in lanes of such a width, so that rows of one lane waste little. */
export function doubledWidth(tokens: number): number {
  let width = widthStep;
  while (width < tokens) width *= 2;
  return width;
}

export class Arena {
  readonly shape: ArenaShape;
  layers: CacheLayer[];
  pastWidth: number = widthStep;
  count = 0;
  /** Tokens in the past of each slot. */
  readonly lengths: Int32Array;
  /** Tokens of each slot's input. */
  readonly crossLengths: Int32Array;
  /** Tokens from the first one on that two rows of a slot have in common, `[slots, width, width]`. */
  readonly #common: Int32Array;
  readonly #slotsMin: number;
  /** Slots that there is room for. */
  #slots: number;
  #roomySteps = 0;

  constructor(shape: ArenaShape) {
    this.shape = shape;
    this.#slotsMin = Math.min(Math.ceil(rowsFirst / shape.width), shape.slotsMax);
    this.#slots = this.#slotsMin;
    this.lengths = new Int32Array(shape.slotsMax);
    this.crossLengths = new Int32Array(shape.slotsMax);
    this.#common = new Int32Array(shape.slotsMax * shape.width ** 2);
    const past = this.#slots * shape.width * this.#pastRowLength(this.pastWidth);
    const cross = this.#slots * this.#crossLength();
    this.layers = Array.from({ length: shape.layers }, () => ({
      pastKey: new Float32Array(past),
      pastValue: new Float32Array(past),
      crossKey: new Float32Array(cross),
      crossValue: new Float32Array(cross),
    }));
  }

  get byteLength(): number {
    return this.layers.reduce((sum, layer) => {
      const past = layer.pastKey.byteLength + layer.pastValue.byteLength;
      return sum + past + layer.crossKey.byteLength + layer.crossValue.byteLength;
    }, 0);
  }

  /**
   * Puts sentence `index` of the batch, `tokens` long, into a new slot and returns the slot. Throws `RangeError` where
   * there is no memory for it; then the arena is as it was.
   */
  add(encoded: EncodedBatch, index: number, tokens: number): number {
    if (this.count === this.shape.slotsMax) throw new Error("the arena is full");
    if (this.count === 0) this.#resize({ slots: this.#slots, pastWidth: widthStep });
    if (this.count === this.#slots) {
      const slots = Math.min(this.#slots * 2, this.shape.slotsMax);
      this.#resize({ slots, pastWidth: this.pastWidth });
    }
    const slot = this.count;
    this.count += 1;
    this.lengths[slot] = 0;
    this.#commonOf(slot).fill(0);
    for (const [number, layer] of this.layers.entries()) {
      this.#putCross(layer.crossKey, slot, { from: encoded.keys[number], index, encoded });
      this.#putCross(layer.crossValue, slot, { from: encoded.values[number], index, encoded });
    }
    this.crossLengths[slot] = tokens;
    return slot;
  }

  /** Frees a slot. The last slot moves into its place; returns that slot's old number, or −1 when it was the last. */
  remove(slot: number): number {
    const last = this.count - 1;
    // One more: a step that failed may have written its token.
    const left = Math.min((this.lengths[slot] ?? 0) + 1, this.pastWidth);
    const moved = this.lengths[last] ?? 0;
    this.count = last;
    this.#erase(slot, slot === last ? 0 : moved, left);
    if (slot === last) return -1;
    const { width } = this.shape;
    for (let row = 0; row < width; row += 1) {
      this.#copyPast(last * width + row, slot * width + row, { from: 0, to: moved });
    }
    this.#erase(last, 0, Math.min(moved + 1, this.pastWidth));
    for (const layer of this.layers) {
      moveBlock(layer.crossKey, { to: slot, from: last, length: this.#crossLength() });
      moveBlock(layer.crossValue, { to: slot, from: last, length: this.#crossLength() });
    }
    this.lengths[slot] = moved;
    this.crossLengths[slot] = this.crossLengths[last] ?? 0;
    this.#commonOf(slot).set(this.#commonOf(last));
    return last;
  }

  /** Tokens `from` to `to` of all rows of the slot. */
  #erase(slot: number, from: number, to: number): void {
    if (from >= to) return;
    const { width, heads, size } = this.shape;
    const first = slot * width * heads;
    for (const { pastKey, pastValue } of this.layers) {
      for (let block = first; block < first + width * heads; block += 1) {
        const start = block * this.pastWidth;
        pastKey.fill(0, (start + from) * size, (start + to) * size);
        pastValue.fill(0, (start + from) * size, (start + to) * size);
      }
    }
  }

  /**
   * Makes room, where it is needed, for one more token in every row, and gives room back that was not needed for
   * long; call it before each step. Throws `RangeError` where there is no memory; then the arena is as it was.
   */
  reserve(): void {
    const pastWidth = padWidth(this.longest() + 1);
    if (pastWidth > this.pastWidth) this.#resize({ slots: this.#slots, pastWidth });
    const tooWide = 4 * pastWidth <= 3 * this.pastWidth;
    const tooMany = 4 * this.count <= this.#slots && this.#slots > this.#slotsMin;
    this.#roomySteps = tooWide || tooMany ? this.#roomySteps + 1 : 0;
    if (this.#roomySteps < roomyStepsMax) return;
    this.#roomySteps = 0;
    this.#resize({
      slots: tooMany ? Math.max(this.#slotsMin, 2 * this.count) : this.#slots,
      pastWidth: tooWide ? pastWidth : this.pastWidth,
    });
  }

  longest(): number {
    let longest = 0;
    for (let slot = 0; slot < this.count; slot += 1) {
      longest = Math.max(longest, this.lengths[slot] ?? 0);
    }
    return longest;
  }

  /** After a step, which has written one token more into every row. */
  advance(): void {
    for (let slot = 0; slot < this.count; slot += 1) {
      this.lengths[slot] = (this.lengths[slot] ?? 0) + 1;
    }
  }

  /**
   * Makes the past of row `to` of the slot that of row `from`: a beam that got a second child. Only what differs is copied; beams
   * mostly have all but their last few tokens in common.
   */
  copyRow(slot: number, from: number, to: number): void {
    if (from === to) return;
    const { width } = this.shape;
    const common = this.#commonOf(slot);
    const first = slot * width;
    const length = this.lengths[slot] ?? 0;
    const differs = { from: common[from * width + to] ?? 0, to: length };
    this.#copyPast(first + from, first + to, differs);
    for (let row = 0; row < width; row += 1) {
      const shared = row === from ? length : (common[from * width + row] ?? 0);
      common[to * width + row] = shared;
      common[row * width + to] = shared;
    }
  }

  #commonOf(slot: number): Int32Array {
    const floats = this.shape.width ** 2;
    return this.#common.subarray(slot * floats, (slot + 1) * floats);
  }

  /** Some tokens of one row, to the same place in another. */
  #copyPast(
    from: number,
    to: number,
    tokens: { readonly from: number; readonly to: number },
  ): void {
    const { heads, size } = this.shape;
    const step = this.pastWidth * size;
    for (const { pastKey, pastValue } of this.layers) {
      for (let head = 0; head < heads; head += 1) {
        const start = (from * heads + head) * step + tokens.from * size;
        const end = (from * heads + head) * step + tokens.to * size;
        const target = (to * heads + head) * step + tokens.from * size;
        pastKey.copyWithin(target, start, end);
        pastValue.copyWithin(target, start, end);
      }
    }
  }

  #putCross(
    cache: Float32Array,
    slot: number,
    source: { from: Float32Array | undefined; index: number; encoded: EncodedBatch },
  ): void {
    const { heads, size, crossWidth } = this.shape;
    const { from, index, encoded } = source;
    if (from === undefined) throw new Error("the encoder returned too few layers");
    const filled = encoded.width * size;
    if (encoded.width === crossWidth) {
      const length = heads * filled;
      cache.set(from.subarray(index * length, (index + 1) * length), slot * length);
      return;
    }
    for (let head = 0; head < heads; head += 1) {
      const target = (slot * heads + head) * crossWidth * size;
      const start = (index * heads + head) * filled;
      cache.set(from.subarray(start, start + filled), target);
      cache.fill(0, target + filled, target + crossWidth * size);
    }
  }

  /** Everything is allocated before anything is changed: an arena that finds no memory is still whole. */
  #resize(to: { readonly slots: number; readonly pastWidth: number }): void {
    const from = { slots: this.#slots, pastWidth: this.pastWidth };
    if (to.slots === from.slots && to.pastWidth === from.pastWidth) return;
    const { width, heads, size } = this.shape;
    const pastFloats = to.slots * width * this.#pastRowLength(to.pastWidth);
    const crossFloats = to.slots * this.#crossLength();
    const capacity = to.slots * width * this.#pastRowLength(doubledWidth(to.pastWidth));
    const past = { floats: pastFloats, capacity, blocks: this.count * width * heads };
    const pastBlocks = { ...past, from: from.pastWidth * size, to: to.pastWidth * size };
    const cross = { floats: crossFloats, capacity: crossFloats, blocks: this.count };
    const crossBlocks = { ...cross, from: this.#crossLength(), to: this.#crossLength() };
    const moves = this.layers.map(({ pastKey, pastValue, crossKey, crossValue }) => ({
      pastKey: blockMove(pastKey, pastBlocks),
      pastValue: blockMove(pastValue, pastBlocks),
      crossKey: blockMove(crossKey, crossBlocks),
      crossValue: blockMove(crossValue, crossBlocks),
    }));
    this.#slots = to.slots;
    this.pastWidth = to.pastWidth;
    this.layers = moves.map((layer) => ({
      pastKey: layer.pastKey(),
      pastValue: layer.pastValue(),
      crossKey: layer.crossKey(),
      crossValue: layer.crossValue(),
    }));
  }

  #pastRowLength(pastWidth: number): number {
    return this.shape.heads * pastWidth * this.shape.size;
  }

  #crossLength(): number {
    return this.shape.heads * this.shape.crossWidth * this.shape.size;
  }
}

function moveBlock(
  values: Float32Array,
  move: { readonly to: number; readonly from: number; readonly length: number },
): void {
  const start = move.from * move.length;
  values.copyWithin(move.to * move.length, start, start + move.length);
}

/**
 * Rearranges blocks of `from` floats into blocks of `to` floats, and lets zeros follow, in the array itself where that is large
 * enough and less than twice too large. Whatever can fail has failed before this returns; the move is made by what it returns.
 */
function blockMove(
  values: Float32Array,
  move: {
    readonly floats: number;
    /** What a new array has, so that a few more growths find room in it. */
    readonly capacity: number;
    readonly blocks: number;
    readonly from: number;
    readonly to: number;
  },
): () => Float32Array {
  const { floats, capacity, blocks, from, to } = move;
  const fits = values.length >= floats && values.length < 2 * floats;
  const target = fits ? values : new Float32Array(capacity);
  const kept = Math.min(from, to);
  return () => {
    if (fits && from === to) return target;
    // In place, longer blocks are laid out from the last one, shorter ones from the first: none is overwritten early.
    for (let step = 0; step < blocks; step += 1) {
      const block = to > from ? blocks - 1 - step : step;
      if (fits) target.copyWithin(block * to, block * from, block * from + kept);
      else target.set(values.subarray(block * from, block * from + kept), block * to);
      if (fits) target.fill(0, block * to + kept, (block + 1) * to);
    }
    if (fits) target.fill(0, blocks * to, Math.max(blocks * from, blocks * to));
    return target;
  };
}
