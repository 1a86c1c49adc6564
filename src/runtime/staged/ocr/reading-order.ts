/** Boxes as they are read: rows from top to bottom, in a row from left to right. */
import type { Quad } from "./geometry.js";

/** Boxes are of one row where the centre of one is no further from the row's than this part of the lower one's height. */
const rowPart = 0.5;

interface Placed<Box> {
  readonly box: Box;
  readonly left: number;
  readonly middle: number;
  readonly height: number;
}

export function inReadingOrder<Box>(boxes: readonly Box[], quadOf: (box: Box) => Quad): Box[] {
  const placed = boxes
    .map((box) => place(box, quadOf(box)))
    .toSorted((one, other) => one.middle - other.middle || one.left - other.left);
  const rows: Placed<Box>[][] = [];
  for (const each of placed) {
    const row = rows.at(-1);
    const last = row?.at(-1);
    const isSame =
      last !== undefined &&
      each.middle - last.middle <= rowPart * Math.min(each.height, last.height);
    if (isSame) row?.push(each);
    else rows.push([each]);
  }
  return rows.flatMap((row) => row.toSorted((a, b) => a.left - b.left).map(({ box }) => box));
}

function place<Box>(box: Box, quad: Quad): Placed<Box> {
  const ys = quad.map(({ y }) => y);
  const [top, bottom] = [Math.min(...ys), Math.max(...ys)];
  const left = Math.min(...quad.map(({ x }) => x));
  return { box, left, middle: (top + bottom) / 2, height: bottom - top };
}
