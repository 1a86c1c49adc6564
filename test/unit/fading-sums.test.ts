/** What the learned lines of runs and of stages are drawn through. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { FadingSums } from "#src/work/fading-sums.js";

test("points on a line give its slope, whatever their weights and ages", () => {
  const sums = new FadingSums();
  for (const [weight, x] of [[1, 8] as const, [3, 2] as const, [2, 32] as const]) {
    sums.fade(0.5);
    sums.add(weight, x, 4 + 0.5 * x);
  }
  const { meanX, meanY, spread, covariance } = sums.moments;
  assert.ok(Math.abs(covariance / spread - 0.5) < 1e-12);
  assert.ok(Math.abs(meanY - 0.5 * meanX - 4) < 1e-12);
});

test("an older point counts less", () => {
  const sums = new FadingSums();
  assert.equal(sums.weight, 0);
  sums.add(1, 0, 0);
  sums.fade(0.25);
  sums.add(1, 10, 20);
  assert.equal(sums.weight, 1.25);
  assert.equal(sums.moments.meanX, 8);
  assert.equal(sums.moments.meanY, 16);
});
