/** Made pages: which box is read after which. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Point, Quad } from "#src/runtime/staged/ocr/geometry.js";
import { inReadingOrder } from "#src/runtime/staged/ocr/reading-order.js";

interface Line {
  readonly name: string;
  readonly box: Quad;
}

type Place = readonly [x: number, y: number];

const height = 20;

function line(name: string, [x, y]: Place, width: number): Line {
  const corner = (right: number, down: number): Point => ({ x: x + right, y: y + down });
  return { name, box: [corner(0, 0), corner(width, 0), corner(width, height), corner(0, height)] };
}

/** `a1`, `a2`, … from the top, 24 apart: boxes of neighbours nearly touch, as those of a detector do. */
function column(name: string, [x, y]: Place, widths: readonly number[]): Line[] {
  return widths.map((width, at) => line(`${name}${at + 1}`, [x, y + 24 * at], width));
}

function slanted(lines: readonly Line[], degrees: number): Line[] {
  const angle = (degrees * Math.PI) / 180;
  const turn = ({ x, y }: Point): Point => ({
    x: x * Math.cos(angle) - y * Math.sin(angle),
    y: x * Math.sin(angle) + y * Math.cos(angle),
  });
  return lines.map(({ name, box: [a, b, c, d] }) => ({
    name,
    box: [turn(a), turn(b), turn(c), turn(d)],
  }));
}

/** Whatever order the boxes came in. */
function order(lines: readonly Line[]): string {
  const read = (given: readonly Line[]) =>
    inReadingOrder(given, ({ box }) => box)
      .map(({ name }) => name)
      .join(" ");
  const found = read(lines);
  assert.equal(read(lines.toReversed()), found);
  assert.equal(read(lines.toSorted((one, other) => one.box[0].y - other.box[0].y)), found);
  return found;
}

const full = [300, 290, 300, 140];
const two = [...column("a", [0, 0], full), ...column("b", [330, 0], [...full, 300])];
const twoRead = "a1 a2 a3 a4 b1 b2 b3 b4 b5";

test("two columns of text are read one after the other", () => {
  assert.equal(order(two), twoRead);
});

test("…though their lines are not level, and though the page is slanted, either way", () => {
  const odd = [...column("a", [0, 0], full), ...column("b", [330, 11], [...full, 300])];
  assert.equal(order(odd), twoRead);
  for (const degrees of [-20, -8, -2, 2, 8, 20])
    assert.equal(order(slanted(two, degrees)), twoRead);
});

test("…though boxes of neighbouring lines overlap", () => {
  const tall = two.map(({ name, box: [a, b, c, d] }): Line => {
    const lower = ({ x, y }: Point): Point => ({ x, y: y + 8 });
    return { name, box: [a, b, lower(c), lower(d)] };
  });
  assert.equal(order(tall), twoRead);
});

test("a header over both columns comes first, a footer last; what parts the columns parts the reading", () => {
  const lower = two.map(({ name, box }): Line => {
    const [a] = box;
    const [{ x: right }] = [box[1]];
    return line(name.replace("a", "c").replace("b", "d"), [a.x, a.y + 200], right - a.x);
  });
  const page = [
    line("header", [100, -40], 400),
    ...two,
    line("middle", [0, 150], 630),
    ...lower,
    line("footer", [250, 360], 120),
  ];
  const wanted = `header ${twoRead} middle c1 c2 c3 c4 d1 d2 d3 d4 d5 footer`;
  assert.equal(order(page), wanted);
  assert.equal(order(slanted(page, 5)), wanted);
});

test("three columns, and columns under a paragraph that is as wide as the page", () => {
  const three = [0, 330, 660].flatMap((x, at) => column("abc"[at] ?? "", [x, 0], full));
  const wanted = "a1 a2 a3 a4 b1 b2 b3 b4 c1 c2 c3 c4";
  assert.equal(order(three), wanted);
  const paragraph = column("p", [0, -80], [960, 960, 350]);
  assert.equal(order([...paragraph, ...three]), `p1 p2 p3 ${wanted}`);
});

test("a table stays in rows: short cells, however wide the white between them", () => {
  const cells = [0, 200, 500].flatMap((x, at) => column("xyz"[at] ?? "", [x, 0], [80, 60, 90, 70]));
  assert.equal(order(cells), "x1 y1 z1 x2 y2 z2 x3 y3 z3 x4 y4 z4");
  // Names are long, their numbers are not.
  const list = [
    ...column("name", [0, 0], [300, 180, 240, 200]),
    ...column("price", [500, 0], [50, 60, 50, 40]),
  ];
  assert.equal(order(list), "name1 price1 name2 price2 name3 price3 name4 price4");
});

test("a table within a column is read in rows there", () => {
  const table = [...column("k", [0, 120], [80, 70, 80]), ...column("v", [200, 120], [90, 60, 70])];
  const page = [
    ...column("a", [0, 0], full),
    ...column("b", [330, 0], Array(8).fill(300)),
    ...table,
  ];
  assert.equal(order(page), "a1 a2 a3 a4 k1 v1 k2 v2 k3 v3 b1 b2 b3 b4 b5 b6 b7 b8");
});

test("white that is narrower than a line is high is white between words, and two lines are no column", () => {
  const words = [...column("a", [0, 0], full), ...column("b", [319, 0], full)];
  assert.equal(order(words), "a1 b1 a2 b2 a3 b3 a4 b4");
  const pairs = [...column("a", [0, 0], [300, 300]), ...column("b", [330, 0], [300, 300])];
  assert.equal(order(pairs), "a1 b1 a2 b2");
});

test("one column is read from the top, dirt and lines of every direction have some order, and nothing has none", () => {
  assert.equal(order(column("a", [0, 0], [300, 20, 280, 5])), "a1 a2 a3 a4");
  assert.equal(order([]), "");
  const point: Quad = [
    { x: 1, y: 1 },
    { x: 1, y: 1 },
    { x: 1, y: 1 },
    { x: 1, y: 1 },
  ];
  assert.equal(order([{ name: "dot", box: point }]), "dot");
  const star = [0, 50, 100, 150, 200].flatMap((degrees) =>
    slanted([line(`${degrees}`, [100, 100], 200)], degrees),
  );
  assert.equal(order(star).split(" ").length, 5);
});

test("columns are looked for among a thousand boxes; more are read in rows", () => {
  const grid = (rows: number): number[] => {
    const lines = Array.from({ length: 50 * rows }, (_, at) =>
      line(`${at}`, [(at % 50) * 150, Math.floor(at / 50) * 24], 125),
    );
    return inReadingOrder(lines, ({ box }) => box).map(({ name }) => Number(name));
  };
  assert.deepEqual(grid(20).slice(0, 3), [0, 50, 100]);
  assert.deepEqual(grid(21).slice(0, 3), [0, 1, 2]);
  assert.equal(new Set(grid(20)).size, 1_000);
});
