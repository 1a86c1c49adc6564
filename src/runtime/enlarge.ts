/**
 * Pixels → more pixels, linearly between the two nearest, centres on centres as PIL and OpenCV have it. libvips's own enlarging lies
 * about half a pixel beside that, which a recogniser sees; reducing is right there, and is left to it.
 */
import { Pauses } from "./pauses.js";
import type { Pixels } from "./pictures.js";

export async function enlarged(
  { data, width, height }: Pixels,
  to: { readonly width: number; readonly height: number },
): Promise<Pixels> {
  const pauses = new Pauses();
  const columns = tapsOf(width, to.width, 3);
  const rows = tapsOf(height, to.height, 3 * width);
  const result = new Uint8Array(to.width * to.height * 3);
  let place = 0;
  for (let y = 0; y < to.height; y += 1) {
    if (pauses.isDue) await pauses.make();
    const upper = rows.first[y] ?? 0;
    const lower = rows.second[y] ?? 0;
    const down = rows.part[y] ?? 0;
    for (let x = 0; x < to.width; x += 1) {
      const left = columns.first[x] ?? 0;
      const right = columns.second[x] ?? 0;
      const across = columns.part[x] ?? 0;
      for (let colour = 0; colour < 3; colour += 1) {
        const topLeft = data[upper + left + colour] ?? 0;
        const bottomLeft = data[lower + left + colour] ?? 0;
        const top = topLeft + ((data[upper + right + colour] ?? 0) - topLeft) * across;
        const bottom = bottomLeft + ((data[lower + right + colour] ?? 0) - bottomLeft) * across;
        result[place] = Math.round(top + (bottom - top) * down);
        place += 1;
      }
    }
  }
  return { width: to.width, height: to.height, data: result };
}

interface Taps {
  /** Where the two neighbours begin, in bytes. */
  readonly first: Int32Array;
  readonly second: Int32Array;
  /** Of the second, 0 to 1. */
  readonly part: Float64Array;
}

function tapsOf(from: number, to: number, step: number): Taps {
  const [first, second, part] = [new Int32Array(to), new Int32Array(to), new Float64Array(to)];
  for (let at = 0; at < to; at += 1) {
    const centre = Math.min(Math.max(((at + 0.5) * from) / to - 0.5, 0), from - 1);
    const whole = Math.floor(centre);
    first[at] = whole * step;
    second[at] = Math.min(whole + 1, from - 1) * step;
    part[at] = centre - whole;
  }
  return { first, second, part };
}
