/** XLM-RoBERTa's and CamemBERT's `sentencepiece.bpe.model`: which id a piece has, and what a text becomes. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { readEncoderTokenizer } from "#src/convert/encoder/tokenizer.js";
import { readSentencePieceFile } from "#src/convert/reading/sentencepiece-model.js";
import {
  type HandMadeModel,
  sentencePieceBytes,
  usualPieces,
} from "../support/sentencepiece-bytes.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";

const own = ["▁", "▁a", "b", "c", "▁ab", ",", "ß"];
const pieces = [
  ...usualPieces,
  ...own.map((piece, at) => ({ piece, score: -1 - at / 10 })),
  { piece: "▁abc", score: -0.1, type: 5 },
];

async function open(
  dir: TempDir,
  modelType: string,
  { model = { pieces }, vocabulary = 20 }: { model?: HandMadeModel; vocabulary?: number } = {},
) {
  await writeFile(dir.file("sentencepiece.bpe.model"), sentencePieceBytes(model));
  return await readEncoderTokenizer(dir.path, { vocabulary, lowerCase: false, modelType });
}

test("ids are fairseq's: its own tokens, the pieces behind them, and <mask>", async () => {
  await using dir = await TempDir.make();
  const xlmr = await open(dir, "xlm-roberta");
  // <s> 0, <pad> 1, </s> 2, <unk> 3; the fourth piece of the file is 4.
  const ids = (text: string, pair?: string): number[] =>
    xlmr.tokenizer.encode(text, pair === undefined ? {} : { text_pair: pair }).ids;
  assert.deepEqual(ids("ab c"), [0, 8, 4, 7, 2]);
  assert.deepEqual(ids("a", "b"), [0, 5, 2, 2, 4, 6, 2]);
  // Characters that no piece has are one unknown token together; a piece that is not to be used is none.
  assert.deepEqual(ids("xyz"), [0, 4, 3, 2]);
  assert.deepEqual(ids("abc"), [0, 8, 7, 2]);
  assert.deepEqual(ids("a <mask></s>"), [0, 5, 12, 2, 2]);
  assert.equal(xlmr.unknownTokenId, 3);
  assert.ok("text" in xlmr.file);

  const camembert = await open(dir, "camembert");
  assert.deepEqual(camembert.tokenizer.encode("ab c").ids, [5, 11, 7, 10, 6]);
  assert.deepEqual(camembert.tokenizer.encode("x<mask>").ids, [5, 7, 3, 15, 6]);
  assert.equal(camembert.unknownTokenId, 3);
});

test("what would have other ids is refused by name", async () => {
  await using dir = await TempDir.make();
  const [unknown, ...rest] = pieces;
  assert.ok(unknown !== undefined);
  const refused = [
    [
      "xlm-roberta",
      { model: { pieces: [...rest, unknown] } },
      "model_unsupported",
      /begins with \["<s>"/,
    ],
    [
      "xlm-roberta",
      { model: { pieces: [...pieces, { piece: "<pad>" }] } },
      "model_folder_invalid",
      /the piece "<pad>", which is a token of its own/,
    ],
    ["xlm-roberta", { model: { pieces, modelType: 2 } }, "model_unsupported", /BPE/i],
    ["xlm-roberta", { vocabulary: 12 }, "model_folder_invalid", /has the id 12/],
    ["roberta", {}, "model_unsupported", /has sentencepiece\.bpe\.model and no tokenizer\.json/],
  ] as const;
  for (const [modelType, options, code, message] of refused) {
    await assert.rejects(open(dir, modelType, options), { code, message });
  }
  await writeFile(dir.file("added_tokens.json"), JSON.stringify({ "<mask>": 12 }));
  await open(dir, "xlm-roberta");
  await writeFile(dir.file("added_tokens.json"), JSON.stringify({ "<mine>": 13 }));
  await assert.rejects(open(dir, "xlm-roberta"), {
    code: "model_unsupported",
    message: /"<mine>"/,
  });
});

const reference = ["models", "reference", "xlmr-st-cls-sharded"] as const;

test("the texts of the reference become the pieces that transformers made of them", {
  skip: skipWithout(...reference),
}, async () => {
  const json = <Value>(name: string): Value =>
    JSON.parse(readFileSync(sharedPath(...reference, name), "utf8")) as Value;
  const { model } = json<{ model: { vocab: [string, number][] } }>("tokenizer.json");
  const { rows, maxTokens } = json<{
    maxTokens: number;
    rows: { text: string; input_ids: number[] }[];
  }>("reference.json");
  // That tokenizer.json has no SentencePiece normaliser, which makes one space of all white space.
  const plain = rows.filter(({ text }) => /^\S+(?: \S+)*$/.test(text));
  assert.ok(plain.length >= 10);
  // The file that this folder would have had: its pieces, and the normaliser of a real one.
  const real = sharedPath("models", "reference", "marian-repo-bin", "source.spm");
  const { charsmap } = await readSentencePieceFile(real);
  assert.ok(charsmap !== null);
  const isToken = (piece: string): boolean => /^<(s|pad|\/s|unk|mask)>$/.test(piece);
  const trained = model.vocab.filter(([piece]) => !isToken(piece));
  await using dir = await TempDir.make();
  const { tokenizer } = await open(dir, "xlm-roberta", {
    model: {
      pieces: [...usualPieces, ...trained.map(([piece, score]) => ({ piece, score }))],
      charsmap,
    },
    vocabulary: model.vocab.length,
  });
  const pieceOf = new Map([...tokenizer.get_vocab()].map(([piece, id]) => [id, piece]));
  for (const { text, input_ids } of plain) {
    const all = tokenizer.encode(text).ids.map((id) => pieceOf.get(id));
    // The reference was cut where the model ends.
    const found = all.length > maxTokens ? [...all.slice(0, maxTokens - 1), "</s>"] : all;
    assert.deepEqual(
      found,
      input_ids.map((id) => model.vocab[id]?.[0]),
      text,
    );
  }
});
