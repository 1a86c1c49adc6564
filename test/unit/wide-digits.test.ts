import assert from "node:assert/strict";
import { test } from "node:test";
import { parseObject, tensorBody } from "#src/work/json-object.js";

/** The same by the book: a character at a time. */
function bookish(text: string): string {
  let written = "";
  for (let at = 0; at < text.length; ) {
    const token = /^(?:"(?:[^"\\]|\\.)*"|-?[\d.eE+-]+|[^"])/s.exec(text.slice(at))?.[0] ?? "";
    written += /^-?\d{16,400}$/.test(token) ? `"${token}"` : token;
    at += token.length;
  }
  return written;
}

test("digits are kept outside of texts and nowhere else, whatever stands between them", () => {
  const wide = "1234567890123456789";
  const pieces = [
    wide,
    `-${wide}`,
    `"${wide}"`,
    `"${wide}, ${wide} -${wide}"`,
    `"\\"${wide}"`,
    `"\\\\"`,
    `"${wide}\\\\"`,
    `""`,
    "1",
    `${wide}.5`,
    `${wide}e3`,
    `0.${wide}`,
    `[${wide},"${wide}"]`,
  ];
  for (const first of pieces)
    for (const second of pieces)
      for (const third of pieces) {
        const text = `{"${wide}":[${first},${second}, ${third}]}`;
        assert.deepEqual(parseObject(text, tensorBody), JSON.parse(bookish(text)), text);
      }
});

test("attack: a body of a million texts and one long number costs no slice for each text", (t) => {
  const texts = '"",'.repeat(100_000);
  const slices = t.mock.method(String.prototype, "slice").mock;
  const { inputs } = parseObject(`{"inputs":[${texts}12345678901234567]}`, tensorBody);
  const count = slices.callCount();
  t.mock.restoreAll();
  assert.equal((inputs as readonly unknown[]).at(-1), "12345678901234567");
  assert.ok(count < 10, `${count} slices`);
});
