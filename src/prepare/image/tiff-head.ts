/** A TIFF's first page: its size, and how much of it must be decoded at once. */
import type { PictureHead } from "../../work/picture.js";

/** Of a page; camera files have some hundred. */
const entriesMax = 1_024;
/** More colours than four and transparency are no picture for people. */
const samplesMax = 5;

const tags = { width: 256, height: 257, bits: 258, samples: 277, tileWidth: 322, tileHeight: 323 };

/** Null where a field that is needed is missing or makes no sense. Throws RangeError beyond the end. */
export function readTiff(view: DataView): PictureHead | null {
  const little = view.getUint8(0) === 0x49;
  const page = view.getUint32(4, little);
  const entries = view.getUint16(page, little);
  if (entries > entriesMax) return null;
  const found = new Map<number, number>();
  for (let entry = 0; entry < entries; entry += 1) {
    const at = page + 2 + entry * 12;
    const value = firstValue(view, at, little);
    const tag = view.getUint16(at, little);
    // The first one counts for most readers; a second one is an attempt to be read in two ways.
    if (value === null || !Object.values(tags).includes(tag)) continue;
    if (found.has(tag)) return null;
    found.set(tag, value);
  }
  const of = (tag: number, otherwise: number): number => found.get(tag) ?? otherwise;
  const [width, height] = [of(tags.width, 0), of(tags.height, 0)];
  const [bits, samples] = [of(tags.bits, 1), of(tags.samples, 1)];
  if (![1, 2, 4, 8, 16, 32].includes(bits) || samples < 1 || samples > samplesMax) return null;
  // A tile is decoded whole, however little of it is picture; some waste at the edges is usual.
  const tile = of(tags.tileWidth, 0) * of(tags.tileHeight, 0);
  if (tile > Math.max(width * height * 4, 1024 * 1024)) return null;
  return { format: "tiff", width, height, pixelBytes: Math.ceil((bits * samples) / 8) };
}

/** Of an entry: a number, or the first of several, which stand elsewhere where four bytes do not hold them. */
function firstValue(view: DataView, at: number, little: boolean): number | null {
  const [short, long] = [3, 4];
  const type = view.getUint16(at + 2, little);
  const count = view.getUint32(at + 4, little);
  if (type === long && count === 1) return view.getUint32(at + 8, little);
  if (type !== short || count < 1) return null;
  return view.getUint16(count <= 2 ? at + 8 : view.getUint32(at + 8, little), little);
}
