/** The pure parts of what every benchmark shares: a figure is worth what these are. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { atTheirTimes, byChance, steadily } from "../../bench/harness/arrivals.js";
import { amountOf, countOf, countsOf } from "../../bench/harness/flags.js";
import { type Machine, readMachine, spread } from "../../bench/harness/machine.js";
import { OutputBook } from "../../bench/harness/output-book.js";
import { drawPlot, type Plot } from "../../bench/harness/plot.js";
import { histogram, quantiles } from "../../bench/harness/quantiles.js";
import { Report } from "../../bench/harness/report.js";
import { inTurns } from "../../bench/harness/rounds.js";
import { ticksOf } from "../../bench/harness/ticks.js";
import { readLayout } from "../../bench/serving/layouts.js";
import { seedFigures } from "../../bench/serving/seed-figures.js";

test("quantiles are of the nearest rank: of fewer than a hundred values p99 is the largest", () => {
  const values = Array.from({ length: 100 }, (_, at) => 100 - at);
  assert.deepEqual(quantiles(values), { p50Ms: 50, p90Ms: 90, p99Ms: 99, maxMs: 100 });
  assert.equal(quantiles([3, 1, 2]).p99Ms, 3);
  assert.equal(quantiles([7]).p50Ms, 7);
});

test("a histogram has every value once, in a bucket that is known to within a tenth", () => {
  const values = Array.from({ length: 500 }, (_, at) => 0.4 + at * at * 0.1);
  const buckets = histogram(values);
  assert.equal(
    buckets.reduce((sum, { count }) => sum + count, 0),
    values.length,
  );
  for (const [at, { upToMs }] of buckets.entries()) {
    const above = buckets[at - 1]?.upToMs ?? 0;
    assert.ok(upToMs > above);
    assert.ok(values.some((value) => value > above && value <= upToMs && upToMs / value < 1.1));
  }
});

test("the median of an even number of rounds lies between its middle two", () => {
  assert.deepEqual(spread([4, 1, 2, 9]), { median: 3, least: 1, most: 9 });
  assert.deepEqual(spread([3, 1, 2]), { median: 2, least: 1, most: 3 });
});

test("arrivals by chance are the same for the same seed, as many as were asked for, and none is late", () => {
  const spec = { perSecond: 200, ms: 50_000, seed: 7 };
  const duesMs = byChance(spec);
  assert.deepEqual(duesMs, byChance(spec));
  assert.notDeepEqual(duesMs, byChance({ ...spec, seed: 8 }));
  assert.ok(Math.abs(duesMs.length - 10_000) < 400, `${duesMs.length}`);
  assert.ok(duesMs.every((dueMs, at) => dueMs >= (duesMs[at - 1] ?? 0) && dueMs <= spec.ms));
});

test("an arrival is due when the plan says, however long the sender stood still before it", async () => {
  const plan = [0, 1, 1, 4, 9];
  const dues: number[] = [];
  let last = 0;
  await atTheirTimes(plan, async (at, dueAtMs) => {
    dues.push(dueAtMs);
    last = at;
    // A stall over all arrivals: those that fell into it are late, and counted from when they were due.
    while (at === 0 && performance.now() < dueAtMs + 10);
  });
  assert.equal(last, plan.length - 1);
  const [first = 0] = dues;
  assert.deepEqual(
    dues.map((dueAtMs) => Math.round(dueAtMs - first)),
    plan,
  );
});

test("arrivals go on until they are told to stop, evenly", async () => {
  const stop = new AbortController();
  const taken: number[] = [];
  for (const dueMs of steadily(200, stop.signal)) {
    taken.push(dueMs);
    if (taken.length === 4) stop.abort();
  }
  assert.deepEqual(taken, [0, 5, 10, 15]);
});

test("variants take turns, and another one begins each round", async () => {
  const order: string[] = [];
  const values = await inTurns(["a", "b"], 3, async (variant, round) => {
    order.push(variant);
    return `${variant}${round}`;
  });
  assert.deepEqual(order, ["a", "b", "b", "a", "a", "b"]);
  assert.deepEqual(values.get("b"), ["b0", "b1", "b2"]);
});

test("whoever gives other outputs than the one before him fails loudly, with his name", () => {
  const [book, other] = [new OutputBook(), new OutputBook()];
  book.add("first", ["a", "b", "a"], ["A", "B", "A"]);
  other.add("second", ["b", "a"], ["B", "A"]);
  assert.equal(book.inputs, 2);
  // Neither the order nor how often an input came is in the hash.
  assert.equal(book.hash, other.hash);
  assert.throws(() => book.add("third", ["a"], ["a"]), /third made "a" of "a", before it was "A"/);
  assert.throws(() => book.add("fourth", ["a", "b"], ["A"]), /fourth gave 1 outputs for 2 inputs/);
  other.add("second", ["c"], ["C"]);
  assert.notEqual(book.hash, other.hash);
});

test("ticks are round, and hold all values between them", () => {
  assert.deepEqual(ticksOf({ from: 0, to: 87, scale: "linear" }), [0, 20, 40, 60, 80, 100]);
  assert.deepEqual(ticksOf({ from: 30, to: 450, scale: "log" }), [20, 50, 100, 200, 500]);
  for (const scale of ["linear", "log"] as const) {
    for (const [from, to] of [
      [0.003, 0.004],
      [5, 5],
      [1, 123_456],
    ] as const) {
      const ticks = ticksOf({ from, to, scale });
      assert.ok(
        ticks.length >= 2 && ticks.length < 25,
        `${scale} ${from} ${to}: ${ticks.join(" ")}`,
      );
      assert.ok((ticks[0] ?? Infinity) <= from && (ticks.at(-1) ?? 0) >= to, ticks.join(" "));
    }
  }
});

const plot: Plot = {
  name: "made",
  title: "a < b & c",
  note: "a note",
  mark: "bars",
  x: { label: "callers", categories: ["8", "16"] },
  y: { label: "ms", scale: "linear" },
  series: [
    { name: "one", points: [{ median: 10, least: 5, most: 20 }, null] },
    {
      name: "two",
      points: [
        { median: 40, least: 40, most: 40 },
        { median: 80, least: 70, most: 90 },
      ],
    },
  ],
};

test("a plot is drawn alike each time, from what its JSON says, with a mark for each value", () => {
  const svg = drawPlot(plot);
  assert.equal(svg, drawPlot(JSON.parse(JSON.stringify(plot)) as Plot));
  const count = (part: string): number => svg.split(part).length - 1;
  // Each series has one in the legend.
  assert.equal(count('class="bar s0"'), 2);
  assert.equal(count('class="bar s1"'), 3);
  assert.equal(count('class="spread"'), 3);
  assert.ok(svg.includes("<title>a &lt; b &amp; c</title>"));
  assert.ok(svg.includes("prefers-color-scheme:dark"));
  assert.doesNotMatch(svg, /NaN|Infinity|undefined|<script/);
  const lines = drawPlot({ ...plot, mark: "lines", y: { label: "ms", scale: "log" } });
  assert.equal(lines.split("<circle").length - 1, 3);
  assert.doesNotMatch(lines, /NaN|Infinity|undefined/);
});

test("a bar is as high as its value: twice the value, twice the height", () => {
  const heights = [...drawPlot(plot).matchAll(/class="bar s1" .* height="([\d.]+)"\/>/g)]
    .map(([, height]) => Number(height))
    .filter((height) => height > 11);
  assert.equal(heights.length, 2);
  assert.ok(Math.abs((heights[1] ?? 0) / (heights[0] ?? 1) - 2) < 0.01);
});

test("a table is printed as Markdown, and stands in the JSON with the value of each round", () => {
  const printed: string[] = [];
  const report = new Report((line) => printed.push(...line.split("\n")));
  report.table({ title: "made", columns: ["who", "ms"], rows: [["one", [3, 1, 2]]] });
  assert.deepEqual(
    printed.filter((line) => line.startsWith("|")),
    ["| who |               ms |", "| --- | ---------------: |", "| one | 2.00 (1.00–3.00) |"],
  );
  const here = readMachine();
  const { tables, machine } = JSON.parse(report.json(here, {})) as {
    readonly machine: Machine;
    readonly tables: readonly { readonly rows: readonly (readonly unknown[])[] }[];
  };
  assert.deepEqual(machine, here);
  assert.deepEqual(tables[0]?.rows[0], [
    "one",
    { median: 2, least: 1, most: 3, values: [3, 1, 2] },
  ]);
});

test("defect: what is no number ends the run with its flag's name, and is not measured as NaN", () => {
  assert.deepEqual(countsOf("callers", "16,32"), [16, 32]);
  assert.equal(countOf("profile", "0", 0), 0);
  assert.equal(amountOf("seconds", "0.5"), 0.5);
  for (const wrong of ["x", "", " ", "-1", "NaN", "Infinity", "0", "1.5"]) {
    assert.throws(() => countOf("rounds", wrong), /^Error: --rounds: ".*" is no whole number/);
    assert.throws(() => countsOf("rounds", `1,${wrong}`), /--rounds: /);
  }
  for (const wrong of ["x", "", "-1", "Infinity"]) {
    assert.throws(() => amountOf("scale", wrong), /--scale: ".*" is no number/);
  }
});

test("a layout is read in a few characters, and anything else is refused", () => {
  assert.deepEqual(readLayout("4").flags, { pipelines: 4 });
  const apart = readLayout("2+3");
  assert.deepEqual(apart.flags, { "realtime-pipelines": 2, "bulk-pipelines": 3 });
  assert.deepEqual([apart.pipelines, apart.isShared], [5, false]);
  for (const wrong of ["", "two", "1+", "+1", "1+1+1", "-1"]) {
    assert.throws(() => readLayout(wrong), /is no layout/);
  }
});

test("the seeds' figures are those of their pages: milliseconds a sentence, as these print them", () => {
  const perSentence = seedFigures.map(({ totalMs, lines }) => Number((totalMs / lines).toFixed(2)));
  assert.deepEqual(
    perSentence,
    [87.35, 78.71, 76.89, 62.06, 58.81, 63.9, 60.75, 79.86, 54.08, 54.21, 53.42, 54.45, 107.18],
  );
});
