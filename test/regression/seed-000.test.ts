/** Seed 000: polling the status of a busy service must delay and lose nothing. The harness is the benchmark's. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { describe, failuresOf, seed000 } from "../../bench/seed-000/seed-000.js";
import { isLong } from "../support/long.js";

test("one pipeline, polled 600 times a second while it works: no job is lost", async (t) => {
  const report = await seed000(isLong ? { seconds: 60 } : { seconds: 2, sentencesMax: 12 });
  for (const line of describe(report).split("\n")) t.diagnostic(line);
  assert.deepEqual(failuresOf(report), []);
});
