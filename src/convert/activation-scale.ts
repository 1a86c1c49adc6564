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
  let bestError = squaredError(values, best);
  for (const [keepLow, keepHigh] of clippings) {
    const scale = scaleOf(low * keepLow, high * keepHigh);
    const error = squaredError(values, scale);
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

/** ‖rounded − exact‖ / ‖exact‖. */
export function relativeError(values: Float32Array, scale: ActivationScale): number {
  let norm = 0;
  for (const value of values) norm += value * value;
  return norm === 0 ? 0 : Math.sqrt(squaredError(values, scale) / norm);
}

function scaleOf(low: number, high: number): ActivationScale {
  const scale = Math.fround((high - low) / 255) || 1;
  return { scale, zeroPoint: Math.max(0, Math.min(255, Math.round(-low / scale))) };
}

function squaredError(values: Float32Array, { scale, zeroPoint }: ActivationScale): number {
  let sum = 0;
  for (const value of values) {
    const stored = Math.max(0, Math.min(255, Math.round(value / scale) + zeroPoint));
    const error = (stored - zeroPoint) * scale - value;
    sum += error * error;
  }
  return sum;
}
