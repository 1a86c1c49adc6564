/** The heads of open requests, in one budget. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { HeadsBudget } from "#src/listen/http/heads-budget.js";

test("attack: where heads fill their budget, the large ones are refused and a small one is not", () => {
  const heads = new HeadsBudget(10_000);
  for (let count = 0; count < 10; count += 1) assert.equal(heads.open(1_000), true);
  assert.equal(heads.open(1_000), false);
  assert.equal(heads.open(100), true);
  assert.equal(heads.heldBytes, 11_100, "those that are refused are there until they are answered");
  heads.close(1_000);
  heads.close(1_000);
  assert.equal(heads.open(900), true);
});

test("attack: however small the heads become, all of them hold a few times the budget at the most", () => {
  const heads = new HeadsBudget(100_000);
  let bytes = 10_000;
  for (let count = 0; count < 16_384; ) {
    if (heads.open(bytes)) count += 1;
    else {
      heads.close(bytes);
      bytes = Math.max(1, Math.floor(bytes * 0.99));
    }
  }
  assert.ok(heads.heldBytes < 900_000, `${heads.heldBytes}`);
});
