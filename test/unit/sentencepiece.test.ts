import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import { encoderOf } from "#src/convert/reading/sentencepiece-encoder.js";
import { readSentencePieceFile } from "#src/convert/reading/sentencepiece-model.js";
import { SentencePiece, sentencePieceSchema } from "#src/prepare/text/sentencepiece.js";
import { Random } from "../sim/random.js";
import { damaged } from "../support/damage.js";
import {
  bytesField,
  type HandMadeModel,
  sentencePieceBytes,
  usualPieces,
} from "../support/sentencepiece-bytes.js";
import { readSentencePieceRows, sentencePieceModels } from "../support/sentencepiece-models.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";

const marian = { languageCodes: true };

const referencePath = sharedPath("models", "reference", "marian-repo-bin", "source.spm");

/** Written, and read again as the server does. */
async function openModel(path: string): Promise<SentencePiece> {
  const json = JSON.stringify(encoderOf(await readSentencePieceFile(path), marian));
  return new SentencePiece({
    ...sentencePieceSchema.parse(JSON.parse(json)),
    languageCodes: false,
  });
}

async function openBytes(bytes: Uint8Array): Promise<SentencePiece> {
  await using dir = await TempDir.make();
  await writeFile(dir.file("source.spm"), bytes);
  return await openModel(dir.file("source.spm"));
}

const rows = readSentencePieceRows();

function checkRows(name: string, model: SentencePiece): void {
  const own = rows.filter((row) => row.model === name);
  assert.ok(own.length >= 20, "the rows of this model are missing");
  for (const { text, pieces } of own)
    assert.deepEqual(model.encode(text), pieces, JSON.stringify(text));
}

for (const [name, bytes] of Object.entries(sentencePieceModels)) {
  test(`what SentencePiece gives, piece for piece: ${name}`, async () => {
    checkRows(name, await openBytes(bytes));
  });
}

test("what SentencePiece gives, piece for piece: a model with a charsmap", {
  skip: skipWithout("models", "reference", "marian-repo-bin"),
}, async () => {
  checkRows("reference", await openModel(referencePath));
});

test("a language code is one token at the beginning, and is taken out elsewhere", async () => {
  await using dir = await TempDir.make();
  await writeFile(dir.file("source.spm"), sentencePieceModels["plain"] ?? "");
  const model = new SentencePiece(
    encoderOf(await readSentencePieceFile(dir.file("source.spm")), marian),
  );
  assert.deepEqual(model.encode(">>cmn<< a"), [">>cmn<<", "▁a"]);
  assert.deepEqual(model.encode(">>cmn<<a"), [">>cmn<<", "▁a"]);
  assert.deepEqual(model.encode(">>cmn<<"), [">>cmn<<"]);
  // As transformers' expression, which takes as much of a line as it can.
  assert.deepEqual(model.encode(">>a<< b >>c<<a"), [">>a<< b >>c<<", "▁a"]);
  assert.deepEqual(model.encode("a >>cmn<< b"), ["▁a", "▁", "b"]);
  assert.deepEqual(model.encode(">>a<<b\n>>c<<"), [">>a<<", "▁", "b", "\n"]);
  assert.deepEqual(model.encode(">><<a"), ["▁", ">><<", "a"]);
  assert.deepEqual(model.encode("a<< >>"), ["▁a", "<<", "▁", ">>"]);
  // A million of them: in one pass.
  assert.equal(model.encode(">>".repeat(500_000)).length, 2);
});

const usual = [...usualPieces, { piece: "a", score: -1 }];

/** A charsmap of these units, and one value. */
function charsmapOf(units: readonly number[], values = "b\0"): Uint8Array {
  const trie = Buffer.from(Uint32Array.from(units).buffer);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(trie.length);
  return Buffer.concat([length, trie, Buffer.from(values, "latin1")]);
}

/** The root leads to "a" at 97 ^ 1, which ends there with the value at `at`. */
function oneKey(at: number): number[] {
  const units = Array<number>(256).fill(0);
  units[0] = 1 << 10;
  units[96] = 97 | (1 << 8) | (1 << 10);
  units[97] = (0x8000_0000 | at) >>> 0;
  return units;
}

test("a charsmap of one key", async () => {
  const model = await openBytes(
    sentencePieceBytes({ pieces: usual, charsmap: charsmapOf(oneKey(0)) }),
  );
  assert.deepEqual(model.encode("cab"), ["▁cbb"]);
  assert.deepEqual(model.encode("\ud800a"), ["▁\ufffdb"]);
});

test("a trie that leads back into itself ends, in reading and in use", async () => {
  const units = Array<number>(256).fill(0);
  units[0] = 1 << 10;
  // "a" leads to the place from which "a" leads here again.
  units[96] = 97 | (1 << 10);
  units[96 ^ 1 ^ 97] = 97 | (97 << 10);
  const model = await openBytes(sentencePieceBytes({ pieces: usual, charsmap: charsmapOf(units) }));
  assert.equal(model.encode("a".repeat(10_000)).length, 10_001);
});

const none = new Uint8Array();
const lie = (change: Partial<HandMadeModel>): Buffer =>
  sentencePieceBytes({ pieces: usual, ...change });

const hostile: readonly [what: string, bytes: Uint8Array, says: RegExp, code?: string][] = [
  ["no bytes", none, /it has 0 pieces only/],
  ["text", Buffer.from("hello, world, this is text"), /no SentencePiece model/],
  ["BPE", lie({ modelType: 2 }), /that is BPE, not unigram/, "model_unsupported"],
  ["words", lie({ modelType: 3 }), /that is word/, "model_unsupported"],
  ["an unknown type", lie({ modelType: 99 }), /of type 99/, "model_unsupported"],
  ["byte fallback", lie({ byteFallback: true }), /byte_fallback/, "model_unsupported"],
  [
    "white space behind words",
    lie({ suffix: true }),
    /treat_whitespace_as_suffix/,
    "model_unsupported",
  ],
  ["a denormalizer", lie({ denormalizer: Buffer.from("x") }), /denormalizer/, "model_unsupported"],
  [
    "pieces for bytes",
    lie({ pieces: [...usual, { piece: "<0x41>", type: 6 }] }),
    /pieces for bytes/,
    "model_unsupported",
  ],
  ["no unknown piece", lie({ pieces: [{ piece: "a" }] }), /0 pieces are the unknown one/],
  [
    "two unknown pieces",
    lie({ pieces: [...usual, { piece: "u", type: 2 }] }),
    /2 pieces are the unknown/,
  ],
  ["no normal piece", lie({ pieces: usualPieces }), /none of its pieces/],
  ["a piece twice", lie({ pieces: [...usual, ...usual] }), /"<unk>" comes twice/],
  ["an empty piece", lie({ pieces: [...usual, { piece: "" }] }), /piece 4 is empty/],
  ["a piece of a kilobyte", lie({ pieces: [...usual, { piece: "x".repeat(1025) }] }), /1025 bytes/],
  [
    "a piece that is not UTF-8",
    lie({ pieces: [...usual, { piece: Uint8Array.of(0xff) }] }),
    /no SentencePiece model/,
  ],
  ["a piece of type 7", lie({ pieces: [...usual, { piece: "x", type: 7 }] }), /"x" has type 7/],
  [
    "a score that is no number",
    lie({ pieces: [...usual, { piece: "x", score: Number.NaN }] }),
    /"x" has the score NaN/,
  ],
  [
    "an endless score",
    lie({ pieces: [...usual, { piece: "x", score: Infinity }] }),
    /the score Infinity/,
  ],
  [
    "a length over the end",
    Buffer.from([0x0a, 0xff, 0xff, 0xff, 0xff, 0x07, 1]),
    /no SentencePiece model/,
  ],
  ["groups in groups", Buffer.alloc(1_000_000, 0x0b), /no SentencePiece model/],
  ["ten million empty pieces", Buffer.alloc(20_000_000, bytesField(1, none)), /piece 0 is empty/],
  ["a charsmap of three bytes", lie({ charsmap: new Uint8Array(3) }), /charsmap has 3 bytes/],
  [
    "a charsmap that claims more",
    lie({ charsmap: Uint8Array.of(255, 255, 255, 127) }),
    /claims 2147483647 bytes/,
  ],
  [
    "a charsmap of half a unit",
    lie({ charsmap: Uint8Array.of(2, 0, 0, 0, 1, 2) }),
    /claims 2 bytes/,
  ],
  [
    "a value outside of the charsmap",
    lie({ charsmap: charsmapOf(oneKey(5)) }),
    /value that lies outside/,
  ],
  [
    "a value that does not end",
    lie({ charsmap: charsmapOf(oneKey(0), "b") }),
    /value that lies outside/,
  ],
  ["a value that is not UTF-8", lie({ charsmap: charsmapOf(oneKey(0), "\xff\0") }), /not UTF-8/],
];

for (const [what, bytes, says, code] of hostile) {
  test(`refuses a SentencePiece model with ${what}`, async () => {
    await assert.rejects(openBytes(bytes), (error: unknown) => {
      assert.ok(error instanceof MillraceError, String(error));
      assert.equal(error.code, code ?? "model_folder_invalid");
      assert.match(error.message, /source\.spm/);
      assert.match(error.message, says);
      return true;
    });
  });
}

test("a SentencePiece model that is missing, or a folder, is named", async () => {
  await using dir = await TempDir.make();
  const missing = { code: "model_folder_invalid", message: /source\.spm is missing/ };
  await assert.rejects(readSentencePieceFile(dir.file("source.spm")), missing);
  await assert.rejects(readSentencePieceFile(dir.path), { message: /is not a file/ });
});

test("any damage to a SentencePiece model is harmless or a MillraceError", async () => {
  const whole = sentencePieceBytes({ pieces: usual, charsmap: charsmapOf(oneKey(0).slice(0, 98)) });
  for (let seed = 1; seed <= 200; seed += 1) await survives(damaged(whole, new Random(seed)));
});

test("any damage to a real SentencePiece model is harmless or a MillraceError", {
  skip: skipWithout("models", "reference", "marian-repo-bin"),
}, async () => {
  const whole = await readFile(referencePath);
  for (let seed = 1; seed <= 12; seed += 1) await survives(damaged(whole, new Random(seed)));
});

async function survives(bytes: Uint8Array): Promise<void> {
  try {
    const model = await openBytes(bytes);
    model.encode("Hello, a ﬁne ① world! 世界 \u0308".repeat(10));
  } catch (error) {
    assert.ok(error instanceof MillraceError, String(error));
  }
}
