/** A quadrilateral of a picture as an upright strip of pixels, bent as a camera would have seen it from the front. */
import type { Pixels } from "../../pictures.js";
import { distance, type Quad } from "./geometry.js";

/** Text that is so much higher than wide is read from the side. */
const tallRatio = 1.5;
/** Along each side of a pixel of the strip: beyond it, more pixels of the picture make no better mean. */
const samplesMax = 4;

/** In the picture, the corners of the strip as it is read: of a tall box, turned by a quarter against the clock. */
export function readingCorners(quad: Quad): Quad {
  const { width, height } = sizeOf(quad);
  const [topLeft, topRight, bottomRight, bottomLeft] = quad;
  return height >= tallRatio * width ? [topRight, bottomRight, bottomLeft, topLeft] : quad;
}

export function sizeOf([topLeft, topRight, bottomRight, bottomLeft]: Quad): {
  readonly width: number;
  readonly height: number;
} {
  return {
    width: Math.max(distance(topLeft, topRight), distance(bottomLeft, bottomRight)),
    height: Math.max(distance(topLeft, bottomLeft), distance(topRight, bottomRight)),
  };
}

/**
 * Each pixel of the strip is the mean of as many samples as it covers pixels of the picture, within `samplesMax`²; a sample lies
 * between four pixels, and beyond the edge of the picture its edge goes on. Nothing is allocated for a sample: a page has
 * millions.
 */
export function cropStrip(
  { data: from, width, height }: Pixels,
  quad: Quad,
  strip: { readonly width: number; readonly height: number },
): Pixels {
  const source = sizeOf(quad);
  const across = samplesFor(source.width / strip.width);
  const down = samplesFor(source.height / strip.height);
  const samples = across * down;
  const [a, b, c, d, e, f, g, h] = perspective(quad);
  const data = new Uint8Array(strip.width * strip.height * 3);
  for (let row = 0, place = 0; row < strip.height; row += 1) {
    for (let column = 0; column < strip.width; column += 1, place += 3) {
      let red = 0;
      let green = 0;
      let blue = 0;
      for (let sample = 0; sample < samples; sample += 1) {
        const u = (column + ((sample % across) + 0.5) / across) / strip.width;
        const v = (row + (Math.floor(sample / across) + 0.5) / down) / strip.height;
        const w = g * u + h * v + 1;
        const x = Math.min(Math.max((a * u + b * v + c) / w, 0), width - 1);
        const y = Math.min(Math.max((d * u + e * v + f) / w, 0), height - 1);
        const left = Math.floor(x);
        const top = Math.floor(y);
        const upper = 3 * (top * width + left);
        const lower = top < height - 1 ? upper + 3 * width : upper;
        const right = left < width - 1 ? 3 : 0;
        const fx = x - left;
        const fy = y - top;
        red += between(from, upper, right, fx) * (1 - fy) + between(from, lower, right, fx) * fy;
        green +=
          between(from, upper + 1, right, fx) * (1 - fy) + between(from, lower + 1, right, fx) * fy;
        blue +=
          between(from, upper + 2, right, fx) * (1 - fy) + between(from, lower + 2, right, fx) * fy;
      }
      data[place] = Math.round(red / samples);
      data[place + 1] = Math.round(green / samples);
      data[place + 2] = Math.round(blue / samples);
    }
  }
  return { ...strip, data };
}

// oxlint-disable-next-line max-params -- an object for each of millions of samples would be most of the work.
function between(data: Uint8Array, at: number, step: number, part: number): number {
  const one = data[at] ?? 0;
  return one + ((data[at + step] ?? 0) - one) * part;
}

function samplesFor(ratio: number): number {
  return Math.min(samplesMax, Math.max(1, Math.round(ratio)));
}

type Perspective = readonly [number, number, number, number, number, number, number, number];

/**
 * From the unit square to the quadrilateral: x = (a u + b v + c) / (g u + h v + 1), y = (d u + e v + f) / (the same).
 * (Heckbert, "Fundamentals of Texture Mapping", 1989, section 2.2.3.)
 */
function perspective([p0, p1, p2, p3]: Quad): Perspective {
  const [sumX, sumY] = [p0.x - p1.x + p2.x - p3.x, p0.y - p1.y + p2.y - p3.y];
  const [dx1, dx2, dy1, dy2] = [p1.x - p2.x, p3.x - p2.x, p1.y - p2.y, p3.y - p2.y];
  const determinant = dx1 * dy2 - dx2 * dy1;
  // Three corners on one line: no camera sees that.
  const flat = Math.abs(determinant) < 1e-9;
  const g = flat ? 0 : (sumX * dy2 - dx2 * sumY) / determinant;
  const h = flat ? 0 : (dx1 * sumY - sumX * dy1) / determinant;
  const [a, b] = [p1.x - p0.x + g * p1.x, p3.x - p0.x + h * p3.x];
  const [d, e] = [p1.y - p0.y + g * p1.y, p3.y - p0.y + h * p3.y];
  return [a, b, p0.x, d, e, p0.y, g, h];
}
