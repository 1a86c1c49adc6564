/** The text of float32 numbers: the same number again, and never longer than need be. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { float32Text } from "#src/work/float-text.js";

/** The least digits that are the number again, looked for one by one. */
function shortest(value: number): string {
  for (let digits = 1; digits <= 9; digits += 1) {
    const text = String(Number(value.toPrecision(digits)));
    if (Math.fround(Number(text)) === value) return text;
  }
  throw new Error(`nine digits are not ${value}`);
}

test("every float32 is itself again, in the fewest digits", () => {
  const bits = new Uint32Array(1);
  const numbers = new Float32Array(bits.buffer);
  const anyFloat = fc.integer({ min: 0, max: 0xffffffff }).map((each) => {
    bits[0] = each;
    return numbers[0] ?? 0;
  });
  const usual = fc.float({ min: -1, max: 1, noNaN: true });
  fc.assert(
    fc.property(fc.oneof(anyFloat.filter(Number.isFinite), usual), (value) => {
      const text = float32Text(value);
      // JSON's readers make one zero of two.
      assert.equal(Math.fround(Number(text)), value === 0 ? 0 : value);
      assert.equal(JSON.parse(text), Number(text));
      assert.ok(text.length <= shortest(value).length, text);
    }),
    { numRuns: 5_000 },
  );
});

test("ends of the range, and what is no number", () => {
  const texts = [0, 1, -1, 0.1, 16_777_216, 2 ** -149, 3.4028234663852886e38].map(Math.fround);
  assert.deepEqual(texts.map(float32Text), [
    "0",
    "1",
    "-1",
    "0.1",
    "16777216",
    "1e-45",
    "3.4028235e+38",
  ]);
  assert.deepEqual([Number.NaN, Infinity, -Infinity].map(float32Text), ["null", "null", "null"]);
});
