/**
 * The connected parts of what is above a threshold, as runs of pixels: a row of a part is a run or several, two runs are one part
 * where they touch, corners included. Work and memory are a few numbers for each run, of which a map of n pixels has n / 2 at most.
 *
 *   ..###...##..        run 0, run 1
 *   ...#######..        run 2: joins both
 */
import type { Point } from "./geometry.js";

export interface ProbabilityMap {
  /** Row-major. */
  readonly data: Float32Array;
  readonly width: number;
  readonly height: number;
}

export interface Component {
  /** Pixels. */
  readonly area: number;
  /** The first and the last pixel of each row, sorted by y, then x. */
  readonly outline: readonly Point[];
}

/** The largest ones, at most so many, from the largest to the smallest; of equals the upper one first. */
export function largestComponents(
  map: ProbabilityMap,
  { threshold, countMax }: { readonly threshold: number; readonly countMax: number },
): Component[] {
  const runs = runsOf(map, threshold);
  const roots = joined(runs);
  const areas = new Map<number, number>();
  for (const [run, root] of roots.entries()) {
    areas.set(root, (areas.get(root) ?? 0) + (runs.to[run] ?? 0) - (runs.from[run] ?? 0) + 1);
  }
  const largest = [...areas].toSorted(([a, x], [b, y]) => y - x || a - b).slice(0, countMax);
  const outlines = new Map<number, Point[]>(largest.map(([root]) => [root, []]));
  for (const [run, root] of roots.entries()) {
    const outline = outlines.get(root);
    if (outline !== undefined) extend(outline, runs, run);
  }
  return largest.map(([root, area]) => ({ area, outline: outlines.get(root) ?? [] }));
}

interface Runs {
  readonly row: Int32Array;
  readonly from: Int32Array;
  readonly to: Int32Array;
}

/** In the order of reading. */
function runsOf({ data, width, height }: ProbabilityMap, threshold: number): Runs {
  let [row, from, to] = [new Int32Array(1024), new Int32Array(1024), new Int32Array(1024)];
  let count = 0;
  for (let y = 0; y < height; y += 1) {
    const line = y * width;
    for (let x = 0; x < width; x += 1) {
      if (!((data[line + x] ?? 0) > threshold)) continue;
      const begin = x;
      while (x + 1 < width && (data[line + x + 1] ?? 0) > threshold) x += 1;
      if (count === row.length) [row, from, to] = [doubled(row), doubled(from), doubled(to)];
      row[count] = y;
      from[count] = begin;
      to[count] = x;
      count += 1;
    }
  }
  const trim = (list: Int32Array): Int32Array => list.subarray(0, count);
  return { row: trim(row), from: trim(from), to: trim(to) };
}

function doubled(list: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(list.length * 2);
  larger.set(list);
  return larger;
}

/** For each run the first run of its part. */
function joined({ row, from, to }: Runs): Int32Array {
  const parents = Int32Array.from(row, (_, run) => run);
  const rootOf = (run: number): number => {
    let root = run;
    for (;;) {
      const parent = parents[root] ?? root;
      if (parent === root) return root;
      // The path is halved each time, so that it stays short.
      parents[root] = parents[parent] ?? parent;
      root = parent;
    }
  };
  let above = 0;
  for (let run = 0; run < row.length; run += 1) {
    const [y, begin, end] = [row[run] ?? 0, from[run] ?? 0, to[run] ?? 0];
    while (above < run && ((row[above] ?? 0) < y - 1 || endsBefore(above))) above += 1;
    for (let other = above; other < run && row[other] === y - 1; other += 1) {
      if ((from[other] ?? 0) > end + 1) break;
      const [one, two] = [rootOf(other), rootOf(run)];
      parents[Math.max(one, two)] = Math.min(one, two);
    }
    function endsBefore(other: number): boolean {
      return row[other] === y - 1 && (to[other] ?? 0) < begin - 1;
    }
  }
  return parents.map((_, run) => rootOf(run));
}

/** A row's last pixel moves as runs of the row follow; its first one stays. */
function extend(outline: Point[], { row, from, to }: Runs, run: number): void {
  const y = row[run] ?? 0;
  if (outline.at(-1)?.y === y) outline.pop();
  else outline.push({ x: from[run] ?? 0, y });
  outline.push({ x: to[run] ?? 0, y });
}
