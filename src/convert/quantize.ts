/**
 * Numbers of static int8 quantisation: symmetric signed weights, asymmetric unsigned activations.
 *
 * A processor without VNNI multiplies u8 by s8 two at a time and keeps the sum of the two products in 16 bits, where
 * it saturates: 255·127 + 255·127 is twice what fits. So two neighbouring weights of one sign never add up to more
 * than 128 (255·128 = 32,640 ≤ 32,767); of opposite signs they cannot overflow. The scale of a channel is chosen so
 * that this holds without clipping: it costs a fraction of a bit, where 7-bit weights would cost a whole one, and every
 * processor computes the same bytes.
 */
import { neighbourSumExact } from "../models/quantization.js";

export interface QuantizedWeights {
  /** Row-major like the input; −127..127, so that the range is symmetric. */
  readonly values: Int8Array;
  /** One for each row, that is for each output channel: real = scale × stored. */
  readonly scales: Float32Array;
}

const magnitudeMax = 127;

/** Quantises `[out, in]` row by row. A row of zeros gets scale 1. */
export function quantizeWeights(rows: Float32Array, inputWidth: number): QuantizedWeights {
  const values = new Int8Array(rows.length);
  const scales = new Float32Array(rows.length / inputWidth);
  for (let row = 0; row < scales.length; row += 1) {
    const range = { from: row * inputWidth, to: (row + 1) * inputWidth };
    const scale = scaleOf(rows, range);
    scales[row] = scale;
    for (let index = range.from; index < range.to; index += 1) {
      const stored = roundHalfToEven((rows[index] ?? 0) / scale);
      values[index] = Math.max(-magnitudeMax, Math.min(magnitudeMax, stored));
    }
    boundNeighbours(values, range);
  }
  return { values, scales };
}

interface Range {
  readonly from: number;
  readonly to: number;
}

/** Less half a step: rounding lifts few pairs over the bound then. */
const neighbourSumAimed = neighbourSumExact - 0.5;

/** The smallest at which neither a weight nor a pair of neighbours is over what it may be. */
function scaleOf(values: Float32Array, { from, to }: Range): number {
  let magnitude = 0;
  let pair = 0;
  for (let index = from; index < to; index += 1) {
    const value = values[index] ?? 0;
    const next = index + 1 < to ? (values[index + 1] ?? 0) : 0;
    magnitude = Math.max(magnitude, Math.abs(value));
    if (value * next > 0) pair = Math.max(pair, Math.abs(value + next));
  }
  return Math.fround(Math.max(magnitude / magnitudeMax, pair / neighbourSumAimed)) || 1;
}

/** Rounding may have lifted both of a pair; the later one gives the step back. */
function boundNeighbours(values: Int8Array, { from, to }: Range): void {
  for (let index = from + 1; index < to; index += 1) {
    const before = values[index - 1] ?? 0;
    const value = values[index] ?? 0;
    const over = Math.abs(before + value) - neighbourSumExact;
    if (before * value > 0 && over > 0) values[index] = value - Math.sign(value) * over;
  }
}

function roundHalfToEven(value: number): number {
  const rounded = Math.round(value);
  return Math.abs(value % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
