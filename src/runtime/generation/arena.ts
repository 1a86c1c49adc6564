/**
 * Key/value caches of the sentences that generate side by side: dense, one slot for each sentence, `width` rows a slot.
 *
 *   past_k.l, past_v.l     [slots × width, heads, pastWidth, size]     written in place, one token a step
 *     row r   ├─ head 0 ── token 0 │ token 1 │ … │ not yet written: zero, and masked ┤─ head 1 ── …
 *   past_mask              [slots × width, pastWidth]                  0 where a token stands, else maskedScore
 *   cross_k.l, cross_v.l   [slots, heads, crossWidth, size]            written once, shared by the slot's rows
 *   cross_mask             [slots, crossWidth]
 *
 * Slots 0..count−1 are in use, so that a run reads a prefix of each array without a copy. A slot that leaves is
 * overwritten by the last one. All widths are multiples of 16: then a row's result does not depend on them.
 *
 * Width and slots follow what is in use. Both grow when they must. They shrink when half of the width, or three
 * quarters of the slots, were not needed for `roomyStepsMax` steps, so that a copy is paid for by the steps it makes
 * cheaper. An array that is a little too large is kept: the next growth finds it.
 */
import { maskedScore } from "../flat-batch.js";

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
  return { layers, heads, size: width / heads };
}

export function padWidth(tokens: number): number {
  return Math.max(1, Math.ceil(tokens / widthStep)) * widthStep;
}

export class Arena {
  readonly shape: ArenaShape;
  layers: CacheLayer[];
  pastMask: Float32Array;
  crossMask: Float32Array;
  pastWidth: number = widthStep;
  count = 0;
  /** Tokens in the past of each slot. */
  readonly lengths: Int32Array;
  readonly #slotsMin: number;
  /** Slots that there is room for. */
  #slots: number;
  #roomySteps = 0;

  constructor(shape: ArenaShape) {
    this.shape = shape;
    this.#slotsMin = Math.min(Math.ceil(rowsFirst / shape.width), shape.slotsMax);
    this.#slots = this.#slotsMin;
    this.lengths = new Int32Array(shape.slotsMax);
    const past = this.#slots * shape.width * this.#pastRowLength(this.pastWidth);
    const cross = this.#slots * this.#crossLength();
    this.layers = Array.from({ length: shape.layers }, () => ({
      pastKey: new Float32Array(past),
      pastValue: new Float32Array(past),
      crossKey: new Float32Array(cross),
      crossValue: new Float32Array(cross),
    }));
    this.pastMask = new Float32Array(this.#slots * shape.width * this.pastWidth).fill(maskedScore);
    this.crossMask = new Float32Array(this.#slots * shape.crossWidth).fill(maskedScore);
  }

  get byteLength(): number {
    const masks = this.pastMask.byteLength + this.crossMask.byteLength;
    return this.layers.reduce((sum, layer) => {
      const past = layer.pastKey.byteLength + layer.pastValue.byteLength;
      return sum + past + layer.crossKey.byteLength + layer.crossValue.byteLength;
    }, masks);
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
    for (const [number, layer] of this.layers.entries()) {
      this.#putCross(layer.crossKey, slot, { from: encoded.keys[number], index, encoded });
      this.#putCross(layer.crossValue, slot, { from: encoded.values[number], index, encoded });
      const row = this.#pastRowLength(this.pastWidth);
      const start = slot * this.shape.width * row;
      layer.pastKey.fill(0, start, start + this.shape.width * row);
      layer.pastValue.fill(0, start, start + this.shape.width * row);
    }
    const maskRow = this.shape.width * this.pastWidth;
    this.pastMask.fill(maskedScore, slot * maskRow, (slot + 1) * maskRow);
    const { crossWidth } = this.shape;
    this.crossMask.fill(maskedScore, slot * crossWidth, (slot + 1) * crossWidth);
    this.crossMask.fill(0, slot * crossWidth, slot * crossWidth + tokens);
    return slot;
  }

  /** Frees a slot. The last slot moves into its place; returns that slot's old number, or −1 when it was the last. */
  remove(slot: number): number {
    const last = this.count - 1;
    this.count = last;
    if (slot === last) return -1;
    const { width, crossWidth } = this.shape;
    for (const layer of this.layers) {
      moveBlock(layer.pastKey, {
        to: slot,
        from: last,
        length: width * this.#pastRowLength(this.pastWidth),
      });
      moveBlock(layer.pastValue, {
        to: slot,
        from: last,
        length: width * this.#pastRowLength(this.pastWidth),
      });
      moveBlock(layer.crossKey, { to: slot, from: last, length: this.#crossLength() });
      moveBlock(layer.crossValue, { to: slot, from: last, length: this.#crossLength() });
    }
    moveBlock(this.pastMask, { to: slot, from: last, length: width * this.pastWidth });
    moveBlock(this.crossMask, { to: slot, from: last, length: crossWidth });
    this.lengths[slot] = this.lengths[last] ?? 0;
    return last;
  }

  /**
   * Makes room, where it is needed, for one more token in every row, and gives room back that was not needed for
   * long; call it before each step. Throws `RangeError` where there is no memory; then the arena is as it was.
   */
  reserve(): void {
    const pastWidth = padWidth(this.longest() + 1);
    if (pastWidth > this.pastWidth) this.#resize({ slots: this.#slots, pastWidth });
    const tooWide = 2 * pastWidth <= this.pastWidth;
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

  /** Appends the step's keys and values, `[rows, layers × 2 × heads × size]`, to every row. */
  append(newKeyValues: Float32Array): void {
    const { layers, heads, size, width } = this.shape;
    const part = heads * size;
    const rows = this.count * width;
    for (let row = 0; row < rows; row += 1) {
      const length = this.lengths[Math.floor(row / width)] ?? 0;
      for (let number = 0; number < layers; number += 1) {
        const layer = this.layers[number];
        if (layer === undefined) throw new Error("a layer is missing");
        const from = (row * layers + number) * 2 * part;
        this.#putToken(layer.pastKey, { newKeyValues, from, row, length });
        this.#putToken(layer.pastValue, { newKeyValues, from: from + part, row, length });
      }
      this.pastMask[row * this.pastWidth + length] = 0;
    }
    for (let slot = 0; slot < this.count; slot += 1) {
      this.lengths[slot] = (this.lengths[slot] ?? 0) + 1;
    }
  }

  /** Copies the past of row `from` of the slot over that of row `to`: a beam that got a second child. */
  copyRow(slot: number, from: number, to: number): void {
    const first = slot * this.shape.width;
    const length = this.#pastRowLength(this.pastWidth);
    for (const layer of this.layers) {
      moveBlock(layer.pastKey, { to: first + to, from: first + from, length });
      moveBlock(layer.pastValue, { to: first + to, from: first + from, length });
    }
  }

  #putToken(
    cache: Float32Array,
    at: { newKeyValues: Float32Array; from: number; row: number; length: number },
  ): void {
    const { heads, size } = this.shape;
    const { newKeyValues } = at;
    let source = at.from;
    for (let head = 0; head < heads; head += 1) {
      let target = ((at.row * heads + head) * this.pastWidth + at.length) * size;
      for (const end = source + size; source < end; source += 1, target += 1) {
        cache[target] = newKeyValues[source] as number;
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
    const { width, heads, size, crossWidth } = this.shape;
    const pastFloats = to.slots * width * this.#pastRowLength(to.pastWidth);
    const crossFloats = to.slots * this.#crossLength();
    const past = { floats: pastFloats, blocks: this.count * width * heads };
    const pastBlocks = { ...past, from: from.pastWidth * size, to: to.pastWidth * size };
    const cross = { floats: crossFloats, blocks: this.count };
    const crossBlocks = { ...cross, from: this.#crossLength(), to: this.#crossLength() };
    const moves = this.layers.map(({ pastKey, pastValue, crossKey, crossValue }) => ({
      pastKey: blockMove(pastKey, pastBlocks),
      pastValue: blockMove(pastValue, pastBlocks),
      crossKey: blockMove(crossKey, crossBlocks),
      crossValue: blockMove(crossValue, crossBlocks),
    }));
    const rows = this.count * width;
    const masks = { floats: to.slots * width * to.pastWidth, blocks: rows };
    const pastMask = blockMove(this.pastMask, {
      ...masks,
      from: from.pastWidth,
      to: to.pastWidth,
    });
    const crossMask = blockMove(this.crossMask, {
      floats: to.slots * crossWidth,
      blocks: this.count,
      from: crossWidth,
      to: crossWidth,
    });
    this.#slots = to.slots;
    this.pastWidth = to.pastWidth;
    this.layers = moves.map((layer) => ({
      pastKey: layer.pastKey(0),
      pastValue: layer.pastValue(0),
      crossKey: layer.crossKey(0),
      crossValue: layer.crossValue(0),
    }));
    this.pastMask = pastMask(maskedScore);
    this.crossMask = crossMask(maskedScore);
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
 * Rearranges blocks of `from` floats into blocks of `to` floats, in the array itself where that is large enough and
 * less than twice too large. Whatever can fail has failed before this returns; the move is made by what it returns,
 * which fills the ends of longer blocks.
 */
function blockMove(
  values: Float32Array,
  move: {
    readonly floats: number;
    readonly blocks: number;
    readonly from: number;
    readonly to: number;
  },
): (filler: number) => Float32Array {
  const { floats, blocks, from, to } = move;
  const fits = values.length >= floats && values.length < 2 * floats;
  const target = fits ? values : new Float32Array(floats);
  const kept = Math.min(from, to);
  return (filler) => {
    if (fits && from === to) return target;
    // In place, longer blocks are laid out from the last one, shorter ones from the first: none is overwritten early.
    for (let step = 0; step < blocks; step += 1) {
      const block = to > from ? blocks - 1 - step : step;
      if (fits) target.copyWithin(block * to, block * from, block * from + kept);
      else target.set(values.subarray(block * from, block * from + kept), block * to);
      if (to > from) target.fill(filler, block * to + kept, (block + 1) * to);
    }
    return target;
  };
}
