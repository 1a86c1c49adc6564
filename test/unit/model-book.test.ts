/** What is told of a model's runs: each real size has its own count and time, however many a pipeline reports at once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ModelBook } from "#src/backend/model-book.js";
import { StageMeter } from "#src/runtime/stage-meter.js";

test("defect: runs that were reported together are told by their own sizes, and not by their mean", () => {
  const meter = new StageMeter();
  const run = (stage: string, rows: number, ms: number): void =>
    meter.add(stage, { rows, units: rows, paddedUnits: rows, ms });
  const book = new ModelBook();
  const report = (): void => {
    for (const stage of meter.take()) book.measured({ model: "m", ...stage });
  };
  run("encode", 1, 2);
  run("encode", 8, 5);
  run("encode", 1, 3);
  run("decode", 9, 100);
  report();
  run("encode", 8, 6);
  run("encode", 5_000, 50);
  report();
  report();
  assert.deepEqual(book.view(["m"])[0]?.runs, [
    { rows: 1, count: 2, ms: 5 },
    { rows: 8, count: 2, ms: 11 },
    { rows: 1_024, count: 1, ms: 50 },
  ]);
});
