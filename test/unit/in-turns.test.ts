/** Long work of a request leaves turns to others. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { inTurns } from "#src/work/in-turns.js";

function* work(steps: number, stepMs: number): Generator<undefined, string> {
  for (let step = 0; step < steps; step += 1) {
    const startMs = performance.now();
    while (performance.now() - startMs < stepMs);
    yield;
  }
  return "done";
}

test("others have a turn while long work goes on, and none is waited for by what is short", async () => {
  const seen: string[] = [];
  const long = inTurns(work(4, 6)).then((result) => seen.push(result));
  const short = inTurns(work(1_000, 0)).then(() => seen.push("short"));
  setImmediate(() => seen.push("other"));
  await Promise.all([long, short]);
  assert.deepEqual(seen, ["short", "other", "done"]);
});

test("what the work throws is thrown", async () => {
  const steps = (function* broken(): Generator<undefined, never> {
    yield;
    throw new Error("no");
  })();
  await assert.rejects(inTurns(steps), /no/);
});
