/** Numbers of static int8 quantisation: symmetric signed weights, asymmetric unsigned activations. */

export interface QuantizedWeights {
  /** Row-major like the input; −127..127, so that the range is symmetric. */
  readonly values: Int8Array;
  /** One for each row, that is for each output channel: real = scale × stored. */
  readonly scales: Float32Array;
}

/** Quantises `[out, in]` row by row. A row of zeros gets scale 1. */
export function quantizeWeights(rows: Float32Array, inputWidth: number): QuantizedWeights {
  const values = new Int8Array(rows.length);
  const scales = new Float32Array(rows.length / inputWidth);
  for (let row = 0; row < scales.length; row += 1) {
    const from = row * inputWidth;
    const scale = Math.fround(largestMagnitude(rows, from, from + inputWidth) / 127) || 1;
    scales[row] = scale;
    for (let index = from; index < from + inputWidth; index += 1) {
      values[index] = Math.max(-127, Math.min(127, roundHalfToEven((rows[index] ?? 0) / scale)));
    }
  }
  return { values, scales };
}

function largestMagnitude(values: Float32Array, from: number, to: number): number {
  let largest = 0;
  for (let index = from; index < to; index += 1) {
    largest = Math.max(largest, Math.abs(values[index] ?? 0));
  }
  return largest;
}

function roundHalfToEven(value: number): number {
  const rounded = Math.round(value);
  return Math.abs(value % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}
