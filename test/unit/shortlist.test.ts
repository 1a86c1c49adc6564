/** The choice of a vocabulary shortlist, and the text that it is chosen from. */
import assert from "node:assert/strict";
import { mkdir, truncate, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { chooseShortlist, type Shortlist } from "#src/convert/marian/shortlist.js";
import { readShortlistLines } from "#src/convert/shortlist-text.js";
import type { GenerationRules } from "#src/models/manifest-generation.js";
import type { HuggingFaceTokenizer } from "#src/prepare/text/huggingface-tokenizers.js";
import { TempDir } from "../support/temp-dir.js";

const special = ["</s>", "<unk>", "<pad>", ">>zho<<"];
const spelling = ["a", "▁a", "▁", "é", "界", "7", "1999", "▁20", "...", "▁?!", "<0xE4>", "<0x0A>"];
const words = Array.from({ length: 200 }, (_, index) => `▁word${index}x`);
/** Ids are places here: special tokens, some words, what spells, more words. */
const pieces = [...special, ...words.slice(0, 50), ...spelling, ...words.slice(50)];
const idOf = new Map(pieces.map((piece, id) => [piece, id]));

/** Cuts at spaces. */
const tokenizer: HuggingFaceTokenizer = {
  encode: (text) => {
    const tokens = text.split(" ").map((word) => `▁${word}`);
    return { tokens, ids: tokens.map((token) => idOf.get(token) ?? 1) };
  },
  decode: (ids) => ids.map((id) => pieces[id]?.replaceAll("▁", " ")).join(""),
  get_vocab: () => new Map(idOf),
  token_to_id: (token) => idOf.get(token),
  id_to_token: (id) => pieces[id],
  normalized: (text) => text,
};

const rules: GenerationRules = {
  startTokenId: 2,
  endTokenId: 0,
  padTokenId: 2,
  unknownTokenId: 1,
  forcedEndTokenId: 0,
  badWords: [[2]],
  beams: 1,
  maxLength: 8,
  lengthPenalty: 1,
  earlyStopping: false,
  renormalizeLogits: false,
};

async function choose(
  lines: readonly string[],
  options: { readonly minCount?: number; readonly rules?: Partial<GenerationRules> } = {},
): Promise<Shortlist & { readonly kept: readonly string[] }> {
  const text = { lines, minCount: options.minCount ?? 1, onProgress: () => {} };
  const generation = { ...rules, ...options.rules };
  const config = { decoderVocabularySize: pieces.length + 3, generation };
  const shortlist = await chooseShortlist(text, tokenizer, config);
  return { ...shortlist, kept: [...shortlist.ids].map((id) => pieces[id] ?? "") };
}

/** Each of these words in a line of its own. */
const saying = (from: number, to: number) =>
  words.slice(from, to).map((word) => word.replace("▁", ""));

test("kept is what occurs in the text, what the rules name, and what spells; by ascending id", async () => {
  const { ids, kept, facts } = await choose(saying(20, 150));
  const expected = ["</s>", "<unk>", "<pad>", ...spelling, ...words.slice(20, 150)];
  assert.deepEqual(kept.toSorted(), expected.toSorted());
  assert.deepEqual(
    [...ids],
    [...ids].toSorted((left, right) => left - right),
  );
  assert.deepEqual(facts, {
    tokens: expected.length,
    idsTensor: "output.token_ids",
    sentences: 130,
    minCount: 1,
    coverage: 1,
  });
});

test("a token that occurs too rarely is left out, and the share of the text that is covered says so", async () => {
  const lines = [...saying(0, 120), ...saying(10, 130), ...saying(10, 115)];
  const { kept, facts } = await choose(lines, { minCount: 2 });
  assert.deepEqual(
    kept.filter((piece) => piece.startsWith("▁word")),
    words.slice(10, 120),
  );
  assert.equal(facts.coverage, (lines.length - 20) / lines.length);
});

test("a token that the model never generates is kept only where the graph must score it", async () => {
  const lines = saying(0, 100);
  const badWords = [
    [3, 150],
    [3, 151],
  ];
  const { ids } = await choose(lines, { rules: { badWords, unknownTokenId: null } });
  // The pad, the unknown token, and what only begins a bad word.
  for (const id of [1, 2, 3]) assert.ok(!ids.includes(id), `${id} is kept`);
  for (const id of [0, 150, 151]) assert.ok(ids.includes(id), `${id} is left out`);
});

test("refused: a text with too few tokens, or too few of them often enough", async () => {
  const few = { code: "option_invalid", message: /99 different tokens.*needs 100/ };
  await assert.rejects(choose(saying(0, 99)), few);
  await assert.rejects(choose([...saying(0, 150), ...saying(0, 99)], { minCount: 2 }), few);
  await assert.doesNotReject(choose(saying(0, 100)));
});

test("refused: fewer tokens than a search with the most beams looks at", async () => {
  // All end in one token, which is kept once.
  const badWords = Array.from({ length: 100 }, (_, index) => [index, 150]);
  const lines = saying(0, 100);
  const kept = 100 + spelling.length + 2 + 1;
  await assert.doesNotReject(choose(lines, { rules: { badWords: badWords.slice(0, kept - 16) } }));
  const more = Array.from({ length: kept - 15 }, (_, index) => [index, 150]);
  await assert.rejects(choose(lines, { rules: { badWords: more } }), {
    code: "option_invalid",
    message: new RegExp(`keeps ${kept} tokens.*look at ${kept + 1}`),
  });
});

test("what the progress throws, as an interrupt does, ends the choice", async () => {
  const reason = new Error("interrupted");
  const onProgress = () => {
    throw reason;
  };
  const text = { lines: saying(0, 150), minCount: 1, onProgress };
  const config = { decoderVocabularySize: pieces.length, generation: rules };
  await assert.rejects(chooseShortlist(text, tokenizer, config), reason);
});

test("lines of the text: trimmed, none of them empty, whatever ends a line or begins the file", async () => {
  await using dir = await TempDir.make();
  await writeFile(dir.file("text"), "\ufeff 你好 \r\n\r\n\u3000\n再见");
  assert.deepEqual(await readShortlistLines(dir.file("text")), ["你好", "再见"]);
});

test("refused as a text: what is missing, a folder, empty, too large or not UTF-8", async () => {
  await using dir = await TempDir.make();
  await mkdir(dir.file("folder"));
  await writeFile(dir.file("empty"), " \n\n");
  await writeFile(dir.file("latin1"), Buffer.from("d\xe9j\xe0 vu\n", "latin1"));
  await writeFile(dir.file("large"), "");
  await truncate(dir.file("large"), 64 * 1024 * 1024 + 1);
  const refusals: readonly (readonly [name: string, says: RegExp])[] = [
    ["nothing", /nothing is missing/],
    ["folder", /folder is not a file/],
    ["empty", /empty has no sentence/],
    ["latin1", /latin1 is not UTF-8/],
    ["large", /large has 67108865 bytes; the limit is 67108864/],
  ];
  for (const [name, message] of refusals) {
    await assert.rejects(readShortlistLines(dir.file(name)), { code: "option_invalid", message });
  }
});
