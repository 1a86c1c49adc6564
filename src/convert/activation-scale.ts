/** The choice of a constant scale for a sampled activation. Pure. */
import type { ActivationScale } from "./products.js";

/**
 * The range, out of a ladder of clipped ones, with the least squared error: a few outliers cost less when they are
 * clipped than when every other value pays for them with coarser steps.
 */
export function chooseActivationScale(values: Float32Array): ActivationScale {
  let low = 0;
  let high = 0;
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  let best = scaleOf(low, high);
  let bestError = squaredError(values, best, Number.POSITIVE_INFINITY);
  for (const [keepLow, keepHigh] of clippings) {
    const scale = scaleOf(low * keepLow, high * keepHigh);
    const error = squaredError(values, scale, bestError);
    if (error >= bestError) continue;
    best = scale;
    bestError = error;
  }
  return best;
}

/** Parts of the lower and upper range that are kept; both ends are clipped together and each alone. */
const ladder: readonly number[] = [0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2];
const clippings: readonly (readonly [number, number])[] = [
  ...ladder.map((part) => [part, part] as const),
  ...ladder.map((part) => [1, part] as const),
  ...ladder.map((part) => [part, 1] as const),
];

/**
 * How much of what a typical channel says is lost by rounding: its root mean square error over its deviation, both
 * the median over the channels of `[rows, width]`. A norm over all values would be blind to what matters here: one
 * channel that is a thousand times the others stretches the steps until the others are all zero, and it makes the norm
 * so large that this looks like nothing.
 */
export function typicalError(values: Float32Array, width: number, scale: ActivationScale): number {
  const errors: number[] = [];
  const variances: number[] = [];
  const rows = values.length / width;
  for (let channel = 0; channel < width; channel += 1) {
    let sum = 0;
    let squares = 0;
    let error = 0;
    for (let index = channel; index < values.length; index += width) {
      const value = values[index] ?? 0;
      sum += value;
      squares += value * value;
      error += roundingError(value, scale) ** 2;
    }
    const variance = squares / rows - (sum / rows) ** 2;
    // A channel that never changes says nothing.
    if (variance <= 1e-12 * squares) continue;
    errors.push(error / rows);
    variances.push(variance);
  }
  return errors.length === 0 ? 0 : Math.sqrt(median(errors) / median(variances));
}

function median(values: number[]): number {
  return values.sort((left, right) => left - right)[values.length >> 1] ?? 0;
}

function scaleOf(low: number, high: number): ActivationScale {
  const scale = Math.fround((high - low) / 255) || 1;
  return { scale, zeroPoint: Math.max(0, Math.min(255, Math.round(-low / scale))) };
}

/** Or, where it is as much as `errorMax`, some of it that is: it only grows. */
function squaredError(values: Float32Array, scale: ActivationScale, errorMax: number): number {
  let sum = 0;
  for (const value of values) {
    sum += roundingError(value, scale) ** 2;
    if (sum >= errorMax) return sum;
  }
  return sum;
}

function roundingError(value: number, { scale, zeroPoint }: ActivationScale): number {
  const stored = Math.max(0, Math.min(255, Math.round(value / scale) + zeroPoint));
  return (stored - zeroPoint) * scale - value;
}
