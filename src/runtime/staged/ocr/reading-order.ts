/**
 * Boxes as they are read: column by column where the page has columns, in a column rows from top to bottom, in a row from
 * left to right. A recursive cut along white space (XY-cut, Nagy and Seth 1984) over the upright boxes of the page turned
 * straight:
 *
 *    ▬▬▬▬▬▬▬▬▬▬▬▬▬▬  1       strips from the top; the largest band of those that leave a gap open
 *    ▬▬▬▬▬▬   ▬▬▬▬▬  2  5    together, with running text on both sides, is cut there. Each of its
 *    ▬▬▬▬▬▬   ▬▬▬▬▬  3  6    columns is then a page of its own, and so is what lies above and below.
 *    ▬▬▬▬▬▬   ▬▬▬    4  7    What has no columns is read in rows.
 */
import { distance, type Point, type Quad } from "./geometry.js";

/** Boxes are of one row where the centre of one is no further from the row's than this part of the lower one's height. */
const rowPart = 0.5;
/** White between columns, in heights of a line: what is narrower is white between words. */
const gapHeightsMin = 1;
/**
 * Running text: so many lines, so wide (in heights), and they fill so much of the column's width. Cells of a table are fewer,
 * shorter, or end anywhere: they stay in rows, however wide the white between them is.
 */
const runningText = { linesMin: 3, widthHeightsMin: 6, fillMin: 0.6 } as const;
/** Columns within columns; a page of dirt ends there. */
const depthMax = 6;
/** A page of more is no page of columns, or looking for them would hold the graphs of others. */
const boxesMax = 1_000;
/** Lines tell how a page lies; dots do not. */
const slantWidthHeightsMin = 3;
/** Half of all lines must lie within so much of the middle one, or the page has no slant. */
const slantAgreement = (3 * Math.PI) / 180;

interface Placed<Box> {
  readonly box: Box;
  readonly left: number;
  readonly right: number;
  readonly middle: number;
  /** Of the upright box. */
  readonly height: number;
  /** The shorter side. */
  readonly lineHeight: number;
}

type Interval = readonly [from: number, to: number];

export function inReadingOrder<Box>(boxes: readonly Box[], quadOf: (box: Box) => Quad): Box[] {
  const quads = boxes.map(quadOf);
  const slant = slantOf(quads);
  const turn = { x: Math.cos(slant), y: -Math.sin(slant) };
  const placed = boxes.map((box) => place(box, quadOf(box), turn));
  return read(placed, depthMax).map(({ box }) => box);
}

function read<Box>(boxes: readonly Placed<Box>[], depth: number): Placed<Box>[] {
  if (depth === 0 || boxes.length > boxesMax) return inRows(boxes);
  return readStrips(stripsOf(boxes), depth);
}

function readStrips<Box>(strips: readonly Strip<Box>[], depth: number): Placed<Box>[] {
  const band = largestBand(strips);
  if (band === null) return inRows(strips.flatMap(({ boxes }) => boxes));
  return [
    ...readStrips(strips.slice(0, band.from), depth),
    ...band.columns.flatMap((column) => read(column, depth - 1)),
    ...readStrips(strips.slice(band.to), depth),
  ];
}

function inRows<Box>(boxes: readonly Placed<Box>[]): Placed<Box>[] {
  const rows: Placed<Box>[][] = [];
  for (const each of boxes.toSorted((a, b) => a.middle - b.middle || a.left - b.left)) {
    const row = rows.at(-1);
    const last = row?.at(-1);
    const isSame =
      last !== undefined &&
      each.middle - last.middle <= rowPart * Math.min(each.height, last.height);
    if (isSame) row?.push(each);
    else rows.push([each]);
  }
  return rows.flatMap((row) => row.toSorted((a, b) => a.left - b.left));
}

interface Band<Box> {
  /** Of the strips; `to` is behind the last. */
  readonly from: number;
  readonly to: number;
  readonly columns: readonly Placed<Box>[][];
}

/** Of all runs of strips that leave a gap open together the one of the most boxes that has columns; null: none has. */
function largestBand<Box>(strips: readonly Strip<Box>[]): Band<Box> | null {
  const all = strips.flatMap(({ boxes }) => boxes);
  const gapMin = gapHeightsMin * median(all.map(({ lineHeight }) => lineHeight));
  const page: Interval = [leftOf(all), rightOf(all)];
  for (const { from, to } of runsOf(strips, page, gapMin)) {
    const boxes = strips.slice(from, to).flatMap((strip) => strip.boxes);
    const columns = columnsOf(boxes, gapMin);
    if (columns.length > 1) return { from, to, columns };
  }
  return null;
}

interface Run {
  readonly from: number;
  readonly to: number;
  readonly count: number;
  readonly gaps: readonly Interval[];
}

/** From every strip as far down as a gap stays open that has boxes on both sides; the one of the most boxes first. */
function runsOf(strips: readonly Strip<unknown>[], page: Interval, gapMin: number): Run[] {
  const runs: Run[] = [];
  for (let from = 0; from < strips.length; from += 1) {
    let gaps: readonly Interval[] = [page];
    let [to, count, left, right] = [from, 0, Infinity, -Infinity];
    for (; to < strips.length; to += 1) {
      const strip = strips[to];
      const open = common(gaps, strip?.white ?? [], gapMin);
      if (strip === undefined || open.length === 0) break;
      gaps = open;
      count += strip.boxes.length;
      left = Math.min(left, strip.left);
      right = Math.max(right, strip.right);
    }
    const inner = gaps.filter(([start, end]) => start > left && end < right);
    const last = runs.at(-1);
    // One that ends where the former does, with the same gaps, is a part of it.
    const isPart = last?.to === to && last.gaps.length === inner.length;
    if (inner.length > 0 && !isPart) runs.push({ from, to, count, gaps: inner });
  }
  return runs.toSorted((one, other) => other.count - one.count);
}

interface Strip<Box> {
  readonly boxes: readonly Placed<Box>[];
  readonly left: number;
  readonly right: number;
  /** Where it has no box, from the left of everything to its right. */
  readonly white: readonly Interval[];
}

/** Boxes that no horizontal line can part. Only their inner halves count: boxes grow, and those of neighbours overlap. */
function stripsOf<Box>(boxes: readonly Placed<Box>[]): Strip<Box>[] {
  const top = ({ middle, height }: Placed<Box>): number => middle - height / 4;
  const strips: Placed<Box>[][] = [];
  let bottom = -Infinity;
  for (const box of boxes.toSorted((one, other) => top(one) - top(other))) {
    if (top(box) >= bottom) strips.push([]);
    strips.at(-1)?.push(box);
    bottom = Math.max(bottom, box.middle + box.height / 4);
  }
  return strips.map((strip) => {
    const white: Interval[] = [];
    let end = -Infinity;
    for (const { left, right } of strip.toSorted((one, other) => one.left - other.left)) {
      if (left > end) white.push([end, left]);
      end = Math.max(end, right);
    }
    white.push([end, Infinity]);
    return { boxes: strip, left: leftOf(strip), right: end, white };
  });
}

/** Where both are white, as far as it is wide enough. Both from left to right. */
function common(
  some: readonly Interval[],
  others: readonly Interval[],
  gapMin: number,
): Interval[] {
  const both: Interval[] = [];
  let at = 0;
  for (const [from, to] of some) {
    for (;;) {
      const [start, end] = others[at] ?? [Infinity, Infinity];
      if (start >= to) break;
      const shared: Interval = [Math.max(from, start), Math.min(to, end)];
      if (shared[1] - shared[0] >= gapMin) both.push(shared);
      if (end > to) break;
      at += 1;
    }
  }
  return both;
}

/** One, where the band has no columns. */
function columnsOf<Box>(band: readonly Placed<Box>[], gapMin: number): Placed<Box>[][] {
  const columns: { readonly boxes: Placed<Box>[]; isText: boolean }[] = [];
  let right = -Infinity;
  const groups: Placed<Box>[][] = [];
  for (const box of band.toSorted((one, other) => one.left - other.left)) {
    if (box.left - right >= gapMin) groups.push([]);
    groups.at(-1)?.push(box);
    right = Math.max(right, box.right);
  }
  for (const boxes of groups) {
    const last = columns.at(-1);
    const isText = isRunningText(boxes);
    if (last === undefined || (last.isText && isText)) {
      columns.push({ boxes, isText });
      continue;
    }
    last.boxes.push(...boxes);
    last.isText = isText;
  }
  return columns.map(({ boxes }) => boxes);
}

function isRunningText<Box>(boxes: readonly Placed<Box>[]): boolean {
  const { linesMin, widthHeightsMin, fillMin } = runningText;
  if (boxes.length < linesMin) return false;
  const height = median(boxes.map(({ lineHeight }) => lineHeight));
  const width = usualWidth(boxes.map(({ left, right }) => right - left));
  return width >= widthHeightsMin * height && width >= fillMin * (rightOf(boxes) - leftOf(boxes));
}

/** Half of the text is in lines of this width or wider: a small table or a list within a column does not count for more than it is. */
function usualWidth(widths: readonly number[]): number {
  const ascending = widths.toSorted((one, other) => one - other);
  let rest = ascending.reduce((sum, width) => sum + width, 0) / 2;
  return ascending.find((width) => (rest -= width) <= 0) ?? 0;
}

function leftOf(boxes: readonly Placed<unknown>[]): number {
  return boxes.reduce((least, { left }) => Math.min(least, left), Infinity);
}

function rightOf(boxes: readonly Placed<unknown>[]): number {
  return boxes.reduce((most, { right }) => Math.max(most, right), -Infinity);
}

/** The angle of the page's lines, in radians; 0 where they have none in common. */
function slantOf(quads: readonly Quad[]): number {
  const angles = quads.flatMap(([topLeft, topRight, , bottomLeft]) => {
    const width = distance(topLeft, topRight);
    if (width < slantWidthHeightsMin * distance(topLeft, bottomLeft)) return [];
    return [Math.atan2(topRight.y - topLeft.y, topRight.x - topLeft.x)];
  });
  const middle = median(angles);
  const agreed = angles.filter((angle) => Math.abs(angle - middle) <= slantAgreement);
  return agreed.length * 2 > angles.length ? middle : 0;
}

/** The upright box of a quadrilateral that was turned back by the page's slant. */
function place<Box>(box: Box, quad: Quad, { x: cosine, y: sine }: Point): Placed<Box> {
  const xs = quad.map(({ x, y }) => x * cosine - y * sine);
  const ys = quad.map(({ x, y }) => x * sine + y * cosine);
  const [top, bottom] = [Math.min(...ys), Math.max(...ys)];
  const [topLeft, topRight, , bottomLeft] = quad;
  const lineHeight = Math.min(distance(topLeft, topRight), distance(topLeft, bottomLeft));
  return {
    box,
    left: Math.min(...xs),
    right: Math.max(...xs),
    middle: (top + bottom) / 2,
    height: bottom - top,
    lineHeight,
  };
}

/** 0 of nothing. */
function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)] ?? 0;
}
