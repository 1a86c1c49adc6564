import assert from "node:assert/strict";
import { test } from "node:test";
import { Scratch } from "#src/runtime/generation/scratch.js";

test("an array is used again where it is long enough", () => {
  const scratch = new Scratch((length) => new Int32Array(length));
  const first = scratch.take(10);
  assert.equal(scratch.take(7), first);
  assert.notEqual(scratch.take(11), first);
});

test("defect: it took twice what was needed, kept it while nothing ran, and nobody was told", () => {
  const scratch = new Scratch((length) => new Float32Array(length));
  const floats = 1024 * 1024;
  scratch.take(floats);
  assert.equal(scratch.byteLength, 4 * floats);
  scratch.rest();
  assert.equal(scratch.byteLength, 0);
  scratch.take(100);
  scratch.rest();
  assert.equal(scratch.byteLength, 400, "a small one is kept");
});
