/** The length of a text's normal form, whatever strangers write. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { normalLength } from "#src/prepare/text/normal-form.js";

test("attack: no run of combining marks is sorted as a whole, for the time grows with its square", (t) => {
  const { mock } = t.mock.method(String.prototype, "normalize");
  assert.equal(normalLength("\u0301\u0323".repeat(5_000)), 10_000);
  const longest = Math.max(...mock.calls.map((call) => String(call.this).length));
  assert.ok(longest <= 64, `${longest} characters at once`);
});

test("characters that stand for many are counted as these", () => {
  assert.equal(normalLength("Hello."), 6);
  assert.equal(normalLength("\ufdfa".repeat(1_000)), 18_000);
});
