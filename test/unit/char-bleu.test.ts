import assert from "node:assert/strict";
import { test } from "node:test";
import { charBleu } from "../support/char-bleu.js";

function assertNear(actual: number, expected: number): void {
  assert.ok(Math.abs(actual - expected) < 1e-9, `${actual} is not ${expected}`);
}

test("equal texts have 100, whatever their spaces; nothing in common has 0", () => {
  assertNear(charBleu(["你 好吗 ?", "再见了吗"], ["你好吗?", "再 见了吗"]), 100);
  assert.equal(charBleu(["abcd"], ["efgh"]), 0);
  // No 4-gram matches: without smoothing that is 0 as well.
  assert.equal(charBleu(["abce"], ["abcd"]), 0);
});

test("a hand-counted corpus: clipped matches are summed before they are divided", () => {
  // abcdx/abcdy: 4/5, 3/4, 2/3, 1/2. aaaa/aaab: 3/4, 2/3, 1/2, 0/1.
  const mean = (7 / 9) * (5 / 7) * (3 / 5) * (1 / 3);
  assertNear(charBleu(["abcdx", "aaaa"], ["abcdy", "aaab"]), 100 * mean ** 0.25);
});

test("short texts pay the brevity penalty, long ones pay in precision", () => {
  assertNear(charBleu(["abcd"], ["abcdef"]), 100 * Math.exp(1 - 6 / 4));
  const precisions = (4 / 6) * (3 / 5) * (2 / 4) * (1 / 3);
  assertNear(charBleu(["abcdef"], ["abcd"]), 100 * precisions ** 0.25);
});

test("a character outside the basic plane is one character", () => {
  assertNear(
    charBleu(["𠮷𠮷𠮷野屋"], ["𠮷𠮷𠮷野家"]),
    100 * ((4 / 5) * (3 / 4) * (2 / 3) * (1 / 2)) ** 0.25,
  );
});
