import assert from "node:assert/strict";
import { test } from "node:test";
import { bench } from "../support/bench.js";

test("bench page: readers see looks, and their cost is told", { timeout: 60_000 }, async () => {
  const out = await bench("page", "--readers", "2", "--seconds", "1.5");
  assert.match(out, /^with 2 readers: \d+\.\d\d% of a core$/m);
  assert.match(out, /^each saw [12] to [12] looks in 1\.5 s$/m);
});
