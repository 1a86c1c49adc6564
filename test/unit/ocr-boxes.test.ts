/** From maps and matrices to boxes and texts: the pure parts of OCR. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Pixels } from "#src/runtime/pictures.js";
import { largestComponents, type ProbabilityMap } from "#src/runtime/staged/ocr/components.js";
import { cropStrip, readingCorners } from "#src/runtime/staged/ocr/crop.js";
import { decodeCtc } from "#src/runtime/staged/ocr/ctc.js";
import { detectSize } from "#src/runtime/staged/ocr/detect-stage.js";
import { findBoxes } from "#src/runtime/staged/ocr/find-boxes.js";
import {
  convexHull,
  cornersOf,
  distance,
  type Point,
  type Quad,
  type Rectangle,
  smallestRectangle,
} from "#src/runtime/staged/ocr/geometry.js";
import { charactersOf, keysOf } from "#src/runtime/staged/ocr/probe.js";
import { recogniseInput } from "#src/runtime/staged/ocr/read-stages.js";
import { inReadingOrder } from "#src/runtime/staged/ocr/reading-order.js";
import { Random } from "../sim/random.js";

const options = {
  threshold: 0.3,
  boxThreshold: 0.6,
  unclipRatio: 1.5,
  sideMin: 3,
  candidatesMax: 1_000,
};

function blank(width: number, height: number): ProbabilityMap {
  return { data: new Float32Array(width * height), width, height };
}

/** The pixels whose centres lie in the rectangle get the value. */
function draw(map: ProbabilityMap, { centre, axis, along, across }: Rectangle, value = 0.9): void {
  for (let y = 0; y < map.height; y += 1) {
    for (let x = 0; x < map.width; x += 1) {
      const u = (x - centre.x) * axis.x + (y - centre.y) * axis.y;
      const v = (y - centre.y) * axis.x - (x - centre.x) * axis.y;
      const isInside = Math.abs(u) <= along / 2 && Math.abs(v) <= across / 2;
      if (isInside) map.data[y * map.width + x] = value;
    }
  }
}

function slanted(centre: Point, degrees: number, size: readonly [number, number]): Rectangle {
  const angle = (degrees * Math.PI) / 180;
  const axis = { x: Math.cos(angle), y: Math.sin(angle) };
  return { centre, axis, along: size[0], across: size[1] };
}

test("rectangles at every angle are found where they are, grown as the ratio says", async () => {
  for (let degrees = -44; degrees <= 44; degrees += 4) {
    const map = blank(240, 200);
    const drawn = slanted({ x: 120, y: 100 }, degrees, [140, 24]);
    draw(map, drawn);
    const [found, ...others] = await findBoxes(map, options);
    assert.ok(found !== undefined && others.length === 0, `${degrees} degrees`);
    const by = (2 * 140 * 24 * 1.5) / (2 * (140 + 24));
    const wanted = cornersOf({ ...drawn, along: 140 + by, across: 24 + by });
    for (const [at, corner] of found.entries()) {
      const off = distance(corner, wanted[at] ?? corner);
      assert.ok(off < 3, `${degrees} degrees: corner ${at} is off by ${off}`);
    }
  }
});

test("what is too small, too faint or hollow is no box", async () => {
  const map = blank(300, 200);
  draw(map, slanted({ x: 20, y: 20 }, 0, [2, 2]));
  draw(map, slanted({ x: 100, y: 30 }, 0, [60, 10]), 0.5);
  // A ring: its mean inside is low.
  draw(map, slanted({ x: 200, y: 120 }, 0, [100, 60]));
  draw(map, slanted({ x: 200, y: 120 }, 0, [94, 54]), 0);
  assert.deepEqual(await findBoxes(map, options), []);
  draw(map, slanted({ x: 60, y: 150 }, 0, [60, 10]));
  assert.equal((await findBoxes(map, options)).length, 1);
});

test("boxes at the edges, single pixels, empty and full maps", async () => {
  assert.deepEqual(await findBoxes(blank(64, 32), options), []);
  const full = blank(64, 32);
  full.data.fill(1);
  const [box] = await findBoxes(full, options);
  assert.ok(box !== undefined);
  // The smallest rectangle goes through the centres of the outer pixels, and grows beyond them.
  assert.ok(box[0].x < 0 && box[0].y < 0 && box[2].x > 63 && box[2].y > 31);
  full.data.fill(Number.NaN);
  assert.deepEqual(await findBoxes(full, options), []);
});

/** The plainest way: a flood from each pixel. */
function floodAreas({ data, width, height }: ProbabilityMap): number[] {
  const seen = new Set<number>();
  const areas: number[] = [];
  for (let start = 0; start < data.length; start += 1) {
    if (seen.has(start) || !((data[start] ?? 0) > 0.5)) continue;
    const open = [start];
    seen.add(start);
    let area = 0;
    for (let at = open.pop(); at !== undefined; at = open.pop()) {
      area += 1;
      const [x, y] = [at % width, Math.floor(at / width)];
      for (let dy = -1; dy <= 1; dy += 1) {
        for (let dx = -1; dx <= 1; dx += 1) {
          const [nx, ny] = [x + dx, y + dy];
          if (nx < 0 || ny < 0 || nx >= width || ny >= height) continue;
          const next = ny * width + nx;
          if (seen.has(next) || !((data[next] ?? 0) > 0.5)) continue;
          seen.add(next);
          open.push(next);
        }
      }
    }
    areas.push(area);
  }
  return areas.toSorted((one, other) => other - one);
}

test("connected parts are those that a flood finds, on random maps", () => {
  const random = new Random(11);
  for (let round = 0; round < 60; round += 1) {
    const map = blank(random.int(1, 40), random.int(1, 30));
    const density = random.next();
    for (let at = 0; at < map.data.length; at += 1) map.data[at] = random.chance(density) ? 1 : 0;
    const found = largestComponents(map, { threshold: 0.5, countMax: 10_000 });
    assert.deepEqual(
      found.map(({ area }) => area),
      floodAreas(map),
      `round ${round}`,
    );
    for (const { outline } of found) {
      const isSorted = outline.every((point, at) => {
        const before = outline[at - 1];
        return !before || before.y < point.y || (before.y === point.y && before.x <= point.x);
      });
      assert.ok(isSorted);
    }
  }
});

test("the worst maps take bounded work: a chessboard, combs, a spiral of rings", async () => {
  const size = 1_024;
  const chess = blank(size, size);
  for (let at = 0; at < chess.data.length; at += 1) {
    chess.data[at] = (at + Math.floor(at / size)) % 2;
  }
  assert.equal(largestComponents(chess, { threshold: 0.5, countMax: 5 }).length, 1);
  const dots = blank(size, size);
  for (let y = 0; y < size; y += 2) for (let x = 0; x < size; x += 2) dots.data[y * size + x] = 1;
  assert.equal(largestComponents(dots, { threshold: 0.5, countMax: 1_000 }).length, 1_000);
  assert.deepEqual(await findBoxes(dots, options), []);
  const rings = blank(size, size);
  for (let y = 0; y < size; y += 1) {
    for (let x = 0; x < size; x += 1) {
      rings.data[y * size + x] = Math.max(Math.abs(x - 512), Math.abs(y - 512)) % 2;
    }
  }
  assert.ok((await findBoxes(rings, options)).length <= 2);
});

test("hulls and rectangles hold all their points, on random ones", () => {
  const random = new Random(3);
  for (let round = 0; round < 200; round += 1) {
    const points = Array.from({ length: random.int(1, 30) }, () => ({
      x: random.int(0, 20),
      y: random.int(0, 20),
    })).toSorted((one, other) => one.y - other.y || one.x - other.x);
    const { centre, axis, along, across } = smallestRectangle(convexHull(points));
    for (const { x, y } of points) {
      const u = (x - centre.x) * axis.x + (y - centre.y) * axis.y;
      const v = (y - centre.y) * axis.x - (x - centre.x) * axis.y;
      assert.ok(Math.abs(u) <= along / 2 + 1e-9 && Math.abs(v) <= across / 2 + 1e-9);
    }
    const upright = (axisOf: keyof Point): number =>
      Math.max(...points.map((point) => point[axisOf])) -
      Math.min(...points.map((point) => point[axisOf]));
    assert.ok(
      along * across <= upright("x") * upright("y") + 1e-9,
      "no larger than the upright one",
    );
  }
});

/** Red grows to the right, green downwards. */
function gradient(width: number, height: number): Pixels {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) data.set([x, y, 0], (y * width + x) * 3);
  }
  return { data, width, height };
}

const quad = (...points: [number, number][]): Quad => {
  const [a, b, c, d] = points.map(([x, y]) => ({ x, y }));
  if (!a || !b || !c || !d) throw new Error("four corners");
  return [a, b, c, d];
};

test("a strip shows what lies in its quadrilateral, bent straight", () => {
  const picture = gradient(200, 100);
  const at = ({ data, width }: Pixels, x: number, y: number): number[] => [
    ...data.subarray((y * width + x) * 3, (y * width + x) * 3 + 2),
  ];
  // The same size and place: pixel for pixel, half a pixel aside (corners are centres).
  const same = cropStrip(picture, quad([9.5, 19.5], [59.5, 19.5], [59.5, 39.5], [9.5, 39.5]), {
    width: 50,
    height: 20,
  });
  assert.deepEqual(at(same, 0, 0), [10, 20]);
  assert.deepEqual(at(same, 49, 19), [59, 39]);
  // A trapezium: its middle is nearer to the short side, as in a picture of a wall from below.
  const bent = cropStrip(picture, quad([40, 10], [60, 10], [90, 90], [10, 90]), {
    width: 101,
    height: 101,
  });
  const [x = 0, y = 0] = at(bent, 50, 50);
  assert.ok(Math.abs(x - 50) <= 1 && Math.abs(y - 26) <= 1, `${x}, ${y}`);
  // Outside of the picture its edge goes on; a flat one is no reason to fail.
  const outside = cropStrip(picture, quad([-50, -50], [-20, -50], [-20, -40], [-50, -40]), {
    width: 8,
    height: 8,
  });
  assert.deepEqual(at(outside, 4, 4), [0, 0]);
  const flat = cropStrip(picture, quad([5, 5], [5, 5], [5, 5], [5, 5]), { width: 4, height: 4 });
  assert.deepEqual(at(flat, 1, 1), [5, 5]);
});

test("tall boxes are turned by a quarter against the clock, others are not", () => {
  const tall = quad([10, 10], [20, 10], [20, 90], [10, 90]);
  assert.deepEqual(readingCorners(tall), [tall[1], tall[2], tall[3], tall[0]]);
  const wide = quad([10, 10], [90, 10], [90, 20], [10, 20]);
  assert.deepEqual(readingCorners(wide), wide);
});

test("reading order: rows from the top, in a row from the left, though they are slanted", () => {
  const line = (x: number, y: number, name: string): { box: Quad; name: string } => ({
    box: quad([x, y], [x + 40, y], [x + 40, y + 10], [x, y + 10]),
    name,
  });
  const lines = [
    line(100, 3, "b"),
    line(0, 30, "d"),
    line(50, 33, "e"),
    line(0, 0, "a"),
    line(150, 6, "c"),
    line(0, 60, "f"),
  ];
  const ordered = inReadingOrder(lines, ({ box }) => box).map(({ name }) => name);
  assert.equal(ordered.join(""), "abcdef");
});

test("CTC: repeats once, blanks not at all, the mean of what was read", () => {
  const rows = [
    [0.9, 0.05, 0.05],
    [0.1, 0.8, 0.1],
    [0.2, 0.7, 0.1],
    [0.6, 0.2, 0.2],
    [0.1, 0.6, 0.3],
    [0.1, 0.2, 0.7],
  ];
  const data = Float32Array.from(rows.flat());
  const matrix = { data, steps: 6, classes: 3 };
  const read = decodeCtc(matrix, { blank: 0, characters: ["", "a", "b"], softmax: false });
  assert.equal(read.text, "aab");
  assert.ok(Math.abs(read.score - (0.8 + 0.6 + 0.7) / 3) < 1e-6);
  const other = decodeCtc(matrix, { blank: 1, characters: ["x"], softmax: false });
  assert.equal(other.text, "xx", "a class without a character is read as nothing");
  const empty = decodeCtc({ ...matrix, steps: 0 }, { blank: 0, characters: [], softmax: true });
  assert.deepEqual(empty, { text: "", score: 0 });
  const logits = Float32Array.from([0, Math.log(3), 0]);
  const soft = decodeCtc(
    { data: logits, steps: 1, classes: 3 },
    { blank: 0, characters: ["", "a", "b"], softmax: true },
  );
  assert.ok(soft.text === "a" && Math.abs(soft.score - 0.6) < 1e-6);
});

test("keys: a space is one, ends of lines and a byte order mark are none", () => {
  assert.deepEqual(keysOf("\ufeffa\r\n \nbc\n"), ["a", " ", "bc"]);
  assert.deepEqual(charactersOf("a\nb\n", { keysFrom: 1, space: true }), ["", "a", "b", " "]);
});

test("detector sizes are near the limit, multiples of the stride, and bounded for any picture", () => {
  const usual = { limitType: "max", sideLimit: 960, sideMax: 4_000, sideMultiple: 32 } as const;
  assert.deepEqual(detectSize({ width: 4_000, height: 3_000 }, usual), { width: 960, height: 736 });
  assert.deepEqual(detectSize({ width: 323, height: 430 }, usual), { width: 320, height: 416 });
  assert.deepEqual(detectSize({ width: 1, height: 65_535 }, usual), { width: 32, height: 960 });
  const min = { ...usual, limitType: "min", sideLimit: 736 } as const;
  assert.deepEqual(detectSize({ width: 368, height: 736 }, min), { width: 736, height: 1_472 });
  const thin = detectSize({ width: 1, height: 65_535 }, min);
  assert.ok(thin.width * thin.height <= 4_000 * 4_000, JSON.stringify(thin));
});

test("a line's padded width is its own, whatever else is there", () => {
  const widthOf = (width: number): string => {
    const strip = { width, height: 32, data: new Uint8Array(width * 32 * 3) };
    return recogniseInput(4, strip, { widthStep: 32, widthMax: 960 }).cost.batchKey;
  };
  assert.deepEqual([1, 32, 33, 256, 257, 512, 513, 955].map(widthOf), [
    "32",
    "32",
    "64",
    "256",
    "320",
    "512",
    "640",
    "960",
  ]);
});
