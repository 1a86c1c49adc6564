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
 * overwritten by the last one. All widths are multiples of 16: then a row's result does not depend on them (DESIGN).
 */

export const widthStep: number = 16;
export const maskedScore: number = -1e9;

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
  #slots: number;

  constructor(shape: ArenaShape) {
    this.shape = shape;
    this.#slots = Math.min(8, shape.slotsMax);
    this.lengths = new Int32Array(shape.slotsMax);
    this.layers = Array.from({ length: shape.layers }, () => this.#emptyLayer(this.#slots));
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

  /** Puts sentence `index` of the batch, `tokens` long, into a new slot and returns the slot. */
  add(encoded: EncodedBatch, index: number, tokens: number): number {
    if (this.count === this.shape.slotsMax) throw new Error("the arena is full");
    if (this.count === 0) this.#resizePast(widthStep);
    if (this.count === this.#slots) this.#growSlots();
    const slot = this.count;
    this.count += 1;
    this.lengths[slot] = 0;
    for (const [number, layer] of this.layers.entries()) {
      this.#putCross(layer.crossKey, slot, { from: encoded.keys[number], index, encoded });
      this.#putCross(layer.crossValue, slot, { from: encoded.values[number], index, encoded });
      const row = this.#pastRowLength();
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
      moveBlock(layer.pastKey, { to: slot, from: last, length: width * this.#pastRowLength() });
      moveBlock(layer.pastValue, { to: slot, from: last, length: width * this.#pastRowLength() });
      moveBlock(layer.crossKey, { to: slot, from: last, length: this.#crossLength() });
      moveBlock(layer.crossValue, { to: slot, from: last, length: this.#crossLength() });
    }
    moveBlock(this.pastMask, { to: slot, from: last, length: width * this.pastWidth });
    moveBlock(this.crossMask, { to: slot, from: last, length: crossWidth });
    this.lengths[slot] = this.lengths[last] ?? 0;
    return last;
  }

  /** Makes room, where it is needed, for one more token in every row. */
  reserve(): void {
    const longest = this.longest();
    if (longest >= this.pastWidth) this.#resizePast(padWidth(longest + 1));
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
    const length = this.#pastRowLength();
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

  #growSlots(): void {
    this.#slots = Math.min(this.#slots * 2, this.shape.slotsMax);
    const { width, crossWidth } = this.shape;
    this.layers = this.layers.map((layer) => {
      const larger = this.#emptyLayer(this.#slots);
      larger.pastKey.set(layer.pastKey);
      larger.pastValue.set(layer.pastValue);
      larger.crossKey.set(layer.crossKey);
      larger.crossValue.set(layer.crossValue);
      return larger;
    });
    this.pastMask = enlarged(this.pastMask, this.#slots * width * this.pastWidth);
    this.crossMask = enlarged(this.crossMask, this.#slots * crossWidth);
  }

  #resizePast(newWidth: number): void {
    if (newWidth === this.pastWidth) return;
    const { width, heads, size } = this.shape;
    const oldWidth = this.pastWidth;
    const rows = this.count * width;
    const kept = Math.min(oldWidth, newWidth);
    this.pastWidth = newWidth;
    const widen = (old: Float32Array) => {
      const wide = new Float32Array(this.#slots * width * this.#pastRowLength());
      for (let block = 0; block < rows * heads; block += 1) {
        const from = block * oldWidth * size;
        wide.set(old.subarray(from, from + kept * size), block * newWidth * size);
      }
      return wide;
    };
    for (const layer of this.layers) {
      layer.pastKey = widen(layer.pastKey);
      layer.pastValue = widen(layer.pastValue);
    }
    const mask = new Float32Array(this.#slots * width * newWidth).fill(maskedScore);
    for (let row = 0; row < rows; row += 1) {
      mask.set(this.pastMask.subarray(row * oldWidth, row * oldWidth + kept), row * newWidth);
    }
    this.pastMask = mask;
  }

  #emptyLayer(slots: number): CacheLayer {
    const past = slots * this.shape.width * this.#pastRowLength();
    const cross = slots * this.#crossLength();
    return {
      pastKey: new Float32Array(past),
      pastValue: new Float32Array(past),
      crossKey: new Float32Array(cross),
      crossValue: new Float32Array(cross),
    };
  }

  #pastRowLength(): number {
    return this.shape.heads * this.pastWidth * this.shape.size;
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

function enlarged(values: Float32Array, length: number): Float32Array {
  const larger = new Float32Array(length).fill(maskedScore);
  larger.set(values);
  return larger;
}
