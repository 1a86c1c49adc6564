/**
 * From a map of probabilities (differentiable binarisation, Liao et al. 2020) to boxes, as PP-OCR's DBPostProcess does: connected
 * parts above a threshold, the smallest rectangle around each, its mean probability, and then so much larger as the network
 * was trained to see text too small.
 */
import { Pauses } from "../../pauses.js";
import { largestComponents, type ProbabilityMap } from "./components.js";
import {
  convexHull,
  cornersOf,
  crossing,
  grown,
  type Point,
  type Quad,
  smallestRectangle,
} from "./geometry.js";

export interface BoxOptions {
  /** Of a pixel. */
  readonly threshold: number;
  /** Of the mean in a box. */
  readonly boxThreshold: number;
  /** A rectangle grows by area · ratio / perimeter on each side. */
  readonly unclipRatio: number;
  /** The shorter side of a part that counts, in pixels of the map. */
  readonly sideMin: number;
  readonly candidatesMax: number;
}

/** In pixels of the map, which they may leave at its edges. With pauses: others of this thread have their turns in between. */
export async function findBoxes(map: ProbabilityMap, options: BoxOptions): Promise<Quad[]> {
  const { threshold, candidatesMax, sideMin, boxThreshold, unclipRatio } = options;
  const pauses = new Pauses();
  const components = largestComponents(map, { threshold, countMax: candidatesMax });
  if (components.length === 0) return [];
  if (pauses.isDue) await pauses.make();
  const sums = rowSums(map);
  const quads: Quad[] = [];
  for (const { outline } of components) {
    if (pauses.isDue) await pauses.make();
    const tight = smallestRectangle(convexHull(outline));
    const { along, across } = tight;
    if (Math.min(along, across) < sideMin) continue;
    if (meanInside(map, sums, cornersOf(tight)) < boxThreshold) continue;
    const box = grown(tight, (along * across * unclipRatio) / (2 * (along + across)));
    // Two more, as DBPostProcess has it.
    if (Math.min(box.along, box.across) < sideMin + 2) continue;
    quads.push(cornersOf(box));
  }
  return quads;
}

/** For each row the sums up to each pixel: the mean of a box then costs a look at each of its rows, however large it is. */
function rowSums({ data, width, height }: ProbabilityMap): Float64Array {
  const sums = new Float64Array((width + 1) * height);
  for (let y = 0; y < height; y += 1) {
    const at = y * (width + 1);
    let sum = 0;
    for (let x = 0; x < width; x += 1) {
      sum += data[y * width + x] ?? 0;
      sums[at + x + 1] = sum;
    }
  }
  return sums;
}

function meanInside(
  { width, height }: ProbabilityMap,
  sums: Float64Array,
  polygon: readonly Point[],
): number {
  const ys = polygon.map(({ y }) => y);
  let [sum, pixels] = [0, 0];
  const last = Math.min(height - 1, Math.round(Math.max(...ys)));
  for (let y = Math.max(0, Math.round(Math.min(...ys))); y <= last; y += 1) {
    const span = crossing(polygon, Math.min(Math.max(y, Math.min(...ys)), Math.max(...ys)));
    if (span === null) continue;
    const from = Math.min(Math.max(Math.round(span[0]), 0), width - 1);
    const to = Math.min(Math.max(Math.round(span[1]), from), width - 1);
    const at = y * (width + 1);
    sum += (sums[at + to + 1] ?? 0) - (sums[at + from] ?? 0);
    pixels += to - from + 1;
  }
  return pixels === 0 ? 0 : sum / pixels;
}
