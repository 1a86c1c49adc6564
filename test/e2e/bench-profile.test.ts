import assert from "node:assert/strict";
import { test } from "node:test";
import { bench, figuresIn } from "../support/bench.js";

test("the benchmark of profiles runs to its end at tiny size, and has operators of every graph", async () => {
  const size = ["--callers", "4", "--seconds", "1", "--rounds", "1", "--objects", "100"];
  const out = await bench("profile-cost", ...size);
  const printed = figuresIn(out);
  const lines = [
    "sentences/s: front / none #",
    "sentences/s: pipeline / none #",
    "sentences/s: pipeline, operators / none #",
    "runs that were written down #",
    "a profiler's start in this process # ms",
  ];
  assert.deepEqual(
    lines.filter((line) => !printed.includes(line)),
    [],
    out,
  );
});
