import assert from "node:assert/strict";
import { test } from "node:test";
import { overdue } from "./overdue.js";

/** The first four are those that notice where younger work is counted too, or less than what is needed is waited for. */
const seeds = [7, 8, 14, 15, 1, 2, 3, 4];

test("what the door refuses for its deadline would not have been met, whatever the load, the mode, the keys and the tenants", () => {
  let refused = 0;
  let letIn = 0;
  for (const seed of seeds) {
    const figures = overdue(seed);
    assert.equal(figures.metAllTheSame, 0, `seed ${seed}`);
    refused += figures.refused;
    letIn += figures.letIn;
  }
  assert.ok(refused > 100 && letIn > 100, `${refused} refused, ${letIn} let in`);
});
