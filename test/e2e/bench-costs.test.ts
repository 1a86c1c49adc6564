import assert from "node:assert/strict";
import { test } from "node:test";
import { bench, figuresIn } from "../support/bench.js";
import { longTest } from "../support/long.js";

function assertPrinted(out: string, lines: readonly string[]): void {
  const printed = figuresIn(out);
  const missing = lines.filter((line) => !printed.includes(line));
  assert.deepEqual(missing, [], out);
}

longTest(
  "the benchmark of costs runs to its end at tiny size: each way to look on sees what there is to see",
  {},
  async () => {
    const size = ["--callers", "4", "--seconds", "1", "--rounds", "1", "--warm-seconds", "0.5"];
    const out = await bench("costs", ...size, "--kept", "1", "--ways", "pages,record,operators");
    const ways = ["10 pages", "recorded", "profile with operators"];
    assertPrinted(out, [
      ...ways.map((way) => `sentences/s: ${way} / none #`),
      "sentences/s: traces, 100% kept / no traces #",
      "profile with operators: the thread stood still to begin # ms",
      "profile with operators: runs that were written down #",
      "traces, 100% kept: spans a second (0 dropped) #",
    ]);
    assert.match(out, /commit [0-9a-f]{7}/);
  },
);

test("the benchmark of a profiler's start runs to its end at tiny size", async () => {
  const out = await bench("profiler-start", "--objects", "100", "--rounds", "1");
  assertPrinted(out, ["a profiler's start # ms", "beside 5 more functions # ms"]);
});
