/** Whom the engine lets in first. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { bundledModelDir, openModel, WatchedEngine } from "../support/engine.js";

test("a sentence with many beams is not overtaken for ever by sentences that need one row", async () => {
  const model = await openModel(bundledModelDir);
  const watched = new WatchedEngine(model, { rowsMax: 8 });
  const add = (itemId: number, beams: number) =>
    watched.engine.admit("bulk", [
      watched.itemOf(itemId, { tokenIds: [82, 1250, 2248, 0], settings: { beams, maxLength: 12 } }),
    ]);
  for (let itemId = 1; itemId <= 6; itemId += 1) add(itemId, 1);
  await watched.engine.step();
  add(0, 8);
  // A stream that keeps rows busy; a sentence takes at most 11 steps, so that these are many generations of them.
  let steps = 0;
  while (!watched.outcomes.has(0)) {
    steps += 1;
    assert.ok(steps < 200, "the sentence with 8 beams starves");
    add(6 + steps, 1);
    await watched.engine.step();
  }
  await model.release();
});
