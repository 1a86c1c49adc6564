/** What a body of four megabytes may make of the parts that read it: one error, and no more work than its bytes are worth. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { withoutLineBreaks } from "#src/front/deepl/line-breaks.js";
import { schemaOf, textList, textOrTexts } from "#src/front/json-body.js";

test("defect: of half a million entries that are no texts the first is told of, and no error is made of each", () => {
  const list: unknown[] = Array.from({ length: 500_000 }, () => 1);
  list[0] = "a";
  for (const schema of [textList, textOrTexts]) {
    const { issues = [] } = schema.safeParse(list).error ?? {};
    assert.deepEqual(
      issues.map(({ path, message }) => [path, message]),
      [[[1], "must be a text, not a number"]],
    );
    assert.deepEqual(schema.parse(["a", "b"]), ["a", "b"]);
    assert.match(schema.safeParse(undefined).error?.issues[0]?.message ?? "", /missing/);
    assert.match(schema.safeParse({}).error?.issues[0]?.message ?? "", /must be/);
  }
  assert.equal(textOrTexts.parse("a"), "a");
  assert.equal(textList.safeParse("a").success, false);
  assert.deepEqual(schemaOf(textList), { type: "array", items: { type: "string" } });
});

test("defect: nonewlines in one pass says what the regular expression says", () => {
  const singleLineBreak = /(?<=\S)[ \t]*(?:\r\n|[\r\n])[ \t]*(?=\S)/g;
  const odd = Array.from({ length: 65_536 }, (_, unit) => String.fromCharCode(unit)).filter(
    (unit) => /\s/.test(unit),
  );
  const parts = [
    ...odd,
    "\n",
    "\r",
    "\r\n",
    " ",
    "\t",
    "a",
    "é",
    "\u00a0",
    "\u3000",
    "\ud83d\ude00",
    "\ud800",
    "\v",
  ];
  let seed = 7;
  const next = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor(seed / 65_536) % below;
  };
  for (let round = 0; round < 20_000; round += 1) {
    const text = Array.from({ length: next(12) }, () => parts[next(parts.length)] ?? "").join("");
    assert.equal(withoutLineBreaks(text), text.replace(singleLineBreak, " "), JSON.stringify(text));
  }
});
