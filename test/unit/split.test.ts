import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { sentenceCharactersMax, skipWhiteSpace, splitSentences } from "#src/prepare/text/split.js";

const loneSurrogate = /\p{Surrogate}/u;

function sentences(text: string): string[] {
  return [...splitSentences(text)].map((sentence) => sentence.text);
}

function checkSplit(text: string): void {
  const split = [...splitSentences(text)];
  const prefix = text.slice(0, skipWhiteSpace(text, 0));
  assert.equal(prefix + split.map((one) => one.text + one.joiner).join(""), text);
  for (const one of split) {
    assert.notEqual(one.text, "");
    assert.equal(one.text, one.text.trim());
    assert.match(one.joiner, /^\s*$/);
    assert.ok(one.text.length <= sentenceCharactersMax);
    assert.ok(
      loneSurrogate.test(text) || !loneSurrogate.test(one.text),
      "a surrogate pair was cut",
    );
  }
}

const whole: readonly string[] = [
  "Mr. Smith met Dr. Jones and Mrs. Brown.",
  "Bring fruit, e.g. Apples, or nuts, i.e. Almonds.",
  "He works for the U.S. Army.",
  "J. R. R. Tolkien wrote it.",
  "See No. 5 and Fig. 3 there.",
  "“Stop!” he said.",
  '"Really?" asked Tom\'s mother.',
  "Pi is about 3.14 and version 1.2.3 is out.",
  "1. Open the door.",
  "Well... maybe not.",
  "St. Petersburg is cold.",
  "他说你好，然后走了。",
];
for (const text of whole) {
  test(`keeps whole: ${text}`, () => assert.deepEqual(sentences(text), [text]));
}

const parts: readonly (readonly string[])[] = [
  ["Hello there.", "How are you?", "Fine!"],
  ["He left the U.S. in 1999.", "He came back."],
  ["We met at 5 p.m.", "The train had left."],
  ["It was you and I.", "Nobody else."],
  ["No.", "Never."],
  ["He lives in the U.S.", "The house is big."],
  ["你好。", "我很好！", "你呢？"],
  ["“Stop!”", "He went on."],
];
for (const list of parts) {
  test(`splits: ${list.join(" ")}`, () => assert.deepEqual(sentences(list.join(" ")), list));
}

test("a line break ends a sentence, also behind an abbreviation", () => {
  assert.deepEqual(sentences("To Mr.\nSmith\r\n\r\n1.\nfirst"), ["To Mr.", "Smith", "1.", "first"]);
});

test("a sentence longer than the bound is cut at clauses, then at white space, then anywhere", () => {
  const clauses = sentences("and so they went on and on, ".repeat(200));
  assert.ok(clauses.length > 1 && clauses.every((text) => text.endsWith(",")));
  const spaces = sentences("word ".repeat(2000));
  assert.ok(spaces.length > 1 && spaces.every((text) => /^word( word)*$/.test(text)));
  assert.equal(sentences("x".repeat(5000)).length, 3);
  assert.ok(sentences(`x${"\u{1F600}".repeat(5000)}`).every((text) => !loneSurrogate.test(text)));
});

test("nothing comes of white space", () => {
  assert.deepEqual(sentences(""), []);
  assert.deepEqual(sentences(" \n\u00a0\u3000\ufeff\u2028 "), []);
});

test("the parts of any text are the text again", () => {
  const fragment = fc.oneof(
    fc.constantFrom("Mr.", "U.S.", "a", "B.", "word", "。", "！", ".", "?", "...", '"', ")", ","),
    fc.constantFrom(
      " ",
      "  ",
      "\n",
      "\r\n",
      "\t",
      "\u00a0",
      "\u3000",
      "\u2028",
      "\u0085",
      "\u0000",
    ),
    fc.constantFrom("\u{1F600}", "\u{1F469}\u200d\u{1F680}", "e\u0301", "x".repeat(1500), "\ud800"),
    fc.string({ unit: "binary", maxLength: 5 }),
  );
  fc.assert(
    fc.property(fc.array(fragment, { maxLength: 40 }), (fragments) => {
      checkSplit(fragments.join(""));
    }),
    { numRuns: 500 },
  );
});
