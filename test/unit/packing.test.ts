import assert from "node:assert/strict";
import { test } from "node:test";
import { packLines } from "#src/cli/translate/packing.js";

/** The sizes of the requests; fails unless they hold each place once and in order. */
function sizes(lines: readonly string[], requestTexts?: number): number[] {
  const places = [...lines.keys()];
  const requests = packLines(places, lines, requestTexts);
  assert.deepEqual(requests.flat(), places);
  return requests.map((request) => request.length);
}

test("requests of `translate` have at most so many texts and characters", () => {
  const short = Array.from({ length: 2_500 }, () => "a");
  assert.deepEqual(sizes(short), [1_000, 1_000, 500]);
  assert.deepEqual(sizes(short.slice(0, 5), 2), [2, 2, 1]);
  const half = "x".repeat(131_072);
  assert.deepEqual(sizes([half, half, "a"]), [2, 1]);
  assert.deepEqual(sizes([half + half + half, "a"]), [1, 1], "a long line goes alone");
  assert.deepEqual(sizes([]), []);
});

test("0 texts a request: all in one, whatever their size", () => {
  const long = Array.from({ length: 3_000 }, () => "x".repeat(1_000));
  assert.deepEqual(sizes(long, 0), [3_000]);
  assert.deepEqual(sizes([], 0), []);
});
