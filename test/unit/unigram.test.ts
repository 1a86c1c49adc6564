/** What the cut into pieces is by every way to cut; the library's own ids are compared in translation-task.test.ts. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { createTokenizer } from "#src/prepare/text/huggingface-tokenizers.js";
import { Unigram } from "#src/prepare/text/unigram.js";

const unknownScore = -20;

/** All ways, the best of which are kept. */
function bestSum(text: string, scores: ReadonlyMap<string, number>): number {
  const characters = Array.from(text);
  const sums = [0, ...characters.map(() => Number.NEGATIVE_INFINITY)];
  for (let end = 1; end <= characters.length; end += 1) {
    for (let begin = 0; begin < end; begin += 1) {
      const piece = characters.slice(begin, end).join("");
      const score = scores.get(piece) ?? (end - begin === 1 ? unknownScore : undefined);
      if (score !== undefined) sums[end] = Math.max(sums[end] ?? 0, (sums[begin] ?? 0) + score);
    }
  }
  return sums.at(-1) ?? 0;
}

const letters = fc.constantFrom("a", "b", "😀", "\ud800");
const word = fc.array(letters, { minLength: 1, maxLength: 4 }).map((all) => all.join(""));

test("the pieces are the text, and their scores the best there are", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(word, fc.integer({ min: -9, max: -1 })), { maxLength: 12 }),
      fc.array(letters, { maxLength: 40 }).map((all) => all.join("")),
      (pieces, text) => {
        const scores = new Map(pieces);
        const unigram = new Unigram([...scores], unknownScore);
        // Twice: what is kept from text to text says nothing of the next.
        unigram.tokenize("ab".repeat(text.length));
        const found = unigram.tokenize(text);
        assert.equal(found.join(""), text);
        const sum = found.reduce((all, piece) => all + (scores.get(piece) ?? unknownScore), 0);
        assert.equal(sum, bestSum(text, scores));
      },
    ),
    { numRuns: 300 },
  );
});

test("a text longer than any before", () => {
  const unigram = new Unigram(
    [
      ["a", -1],
      ["aa", -1.5],
    ],
    unknownScore,
  );
  assert.deepEqual(unigram.tokenize("aaa"), ["aa", "a"].toReversed());
  const found = unigram.tokenize("a".repeat(100_000));
  assert.equal(found.length, 50_000);
});

test("defect: the unknown piece, spelled out in a text, makes no other piece with what follows it", () => {
  const vocab = [
    ["<unk>", 0],
    ["<unk>x", -1],
    ["a", -2],
  ];
  const tokenizer = createTokenizer(
    {
      version: "1.0",
      added_tokens: [],
      normalizer: null,
      pre_tokenizer: { type: "WhitespaceSplit" },
      post_processor: null,
      decoder: null,
      model: { type: "Unigram", unk_id: 0, vocab },
    },
    {},
  );
  assert.deepEqual(tokenizer.encode("<unk> x a y").ids, [0, 2, 0]);
});
