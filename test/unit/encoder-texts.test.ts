/** Texts and pairs as what an encoder takes: parts, special tokens, cutting. */
import assert from "node:assert/strict";
import { readFile, writeFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { MillraceError, type TextOrPair } from "millrace-client/wire";
import { EncoderTexts, type EncoderTextsOptions } from "#src/prepare/text/encoder-texts.js";
import { normalLength } from "#src/prepare/text/normal-form.js";
import { partsOf } from "#src/prepare/text/text-parts.js";
import { TextTokenizer } from "#src/prepare/text/text-tokenizer.js";
import type { PrepareStep } from "#src/work/piece.js";
import { encoderWords, writeMadeEncoder } from "../support/made-encoder.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";

let temp: TempDir;
let path: string;

before(async () => {
  temp = await TempDir.make();
  path = `${await writeMadeEncoder(temp.file("made"))}/tokenizer.json`;
});

after(() => temp[Symbol.asyncDispose]());

async function open(own: Partial<EncoderTextsOptions> = {}): Promise<EncoderTexts> {
  return await EncoderTexts.open({
    path,
    unknownTokenId: 1,
    inputTokensMax: 8,
    tokenTypes: 2,
    vocabulary: encoderWords.length,
    inputCharactersMax: 20_000,
    ...own,
  });
}

interface Read {
  readonly words?: string;
  readonly types?: string;
  readonly truncated?: boolean;
  readonly error?: string;
}

function read(texts: EncoderTexts, input: TextOrPair, truncate = false): Read {
  const at = { param: "texts[0]", truncate, embedding: null, resultBytes: () => 0 };
  const steps = [...texts.steps(input, at)];
  const failed = steps.find((step) => step.kind === "error");
  if (failed !== undefined) return { error: `${failed.error.code}: ${failed.error.message}` };
  const piece = steps.find(
    (step): step is Extract<PrepareStep, { kind: "piece" }> => step.kind === "piece",
  );
  const end = steps.at(-1);
  assert.ok(piece !== undefined && end?.kind === "end");
  const { tokens, types } = piece.piece.payload.tensors;
  const note = end.note as { readonly inputTokens: number; readonly truncated: boolean };
  assert.equal(note.inputTokens, tokens?.data.length);
  return {
    words: Array.from(tokens?.data as Int32Array, (id) => encoderWords[id]).join(" "),
    ...(types === undefined ? {} : { types: (types.data as Int32Array).join("") }),
    truncated: note.truncated,
  };
}

test("a text and a pair have their special tokens, and a pair its types", async () => {
  const texts = await open();
  assert.deepEqual(read(texts, "Hello worlds"), {
    words: "[CLS] hello world ##s [SEP]",
    truncated: false,
  });
  assert.deepEqual(read(texts, ["hello", "a b"]), {
    words: "[CLS] hello [SEP] a b [SEP]",
    types: "000111",
    truncated: false,
  });
  assert.deepEqual(read(texts, ""), { words: "[CLS] [SEP]", truncated: false });
});

test("an empty half of a pair is a text like any other", async () => {
  const texts = await open();
  const pairs: readonly TextOrPair[] = [
    ["hello", ""],
    ["", "hello"],
    ["", ""],
  ];
  assert.deepEqual(
    pairs.map((pair) => read(texts, pair).words),
    ["[CLS] hello [SEP] [SEP]", "[CLS] [SEP] hello [SEP]", "[CLS] [SEP] [SEP]"],
  );
  assert.equal(read(texts, ["hello", ""]).types, "0001");
});

test("a model that tells no types apart gets none", async () => {
  const texts = await open({ tokenTypes: 1 });
  assert.equal(read(texts, ["a", "b"]).types, undefined);
});

test("what is too long is refused with its count, or cut as transformers cuts it", async () => {
  const texts = await open();
  assert.equal(read(texts, "a b a b a b").words, "[CLS] a b a b a b [SEP]");
  assert.equal(
    read(texts, "a b a b a b a").error,
    "input_too_long: texts[0] has 9 tokens; the limit is 8",
  );
  assert.match(read(texts, "a ".repeat(600)).error ?? "", /has over \d+ tokens; the limit is 8/);
  assert.deepEqual(read(texts, "a b a b a b a", true), {
    words: "[CLS] a b a b a b [SEP]",
    truncated: true,
  });
  const cut = (pair: TextOrPair): string | undefined => read(texts, pair, true).words;
  // Five places beside the special tokens; the longer text gives first, the odd place is the longer one's.
  assert.equal(cut(["a", "b b b b b b"]), "[CLS] a [SEP] b b b b [SEP]");
  assert.equal(cut(["a a a a a a", "b"]), "[CLS] a a a a [SEP] b [SEP]");
  assert.equal(cut(["a a a a a a", "b b b b"]), "[CLS] a a a [SEP] b b [SEP]");
  assert.equal(cut(["a a a", "b b b b b"]), "[CLS] a a [SEP] b b b [SEP]");
  assert.equal(cut(["a a a", "b b b"]), "[CLS] a a [SEP] b b b [SEP]");
  assert.equal(cut(["a a a a a a a a a", ""]), "[CLS] a a a a a [SEP] [SEP]");
});

test("the characters of a text are bounded before it is tokenised", async () => {
  const texts = await open({ inputCharactersMax: 10 });
  const long = "a ".repeat(1_000_000);
  assert.match(
    read(texts, long).error ?? "",
    /^input_too_long: .* 2000000 characters; the limit is 10$/,
  );
  assert.deepEqual(read(texts, long, true), { words: "[CLS] a a a a a [SEP]", truncated: true });
  // The limit does not part a pair of surrogates.
  assert.equal(read(await open({ inputCharactersMax: 3 }), "a 😀", true).words, "[CLS] a [SEP]");
});

test("a query is tokenised once for all texts beside it, and cut with each of them", async (context) => {
  const encode = context.mock.method(TextTokenizer.prototype, "encodePlain");
  const texts = await open();
  const query = "hello world hello world";
  const outcomes = ["a", "b b b b", "a"].map((text) => read(texts, [query, text], true).words);
  assert.deepEqual(outcomes, [
    "[CLS] hello world hello world [SEP] a [SEP]",
    "[CLS] hello world [SEP] b b b [SEP]",
    "[CLS] hello world hello world [SEP] a [SEP]",
  ]);
  const queries = encode.mock.calls.filter(({ arguments: [text] }) => text === query);
  assert.equal(queries.length, 1);
});

test("a folder whose limit leaves no room beside special tokens is refused", async () => {
  await assert.rejects(open({ inputTokensMax: 3 }), /leaves no room beside special tokens/);
});

const loneSurrogate = /\p{Surrogate}/u;
const word = fc.constantFrom(
  "hello",
  "World's",
  "x",
  "naïve",
  "123",
  "don't",
  "今天天气",
  "😀",
  "#s",
  "<mask>",
  "ﷺ",
);
const space = fc.constantFrom(" ", " ", " ", " ", "  ", "\n", "\t", ", ", ". ", "-", "");
const prose = fc
  .array(fc.tuple(word, space), { minLength: 100, maxLength: 600 })
  .map((parts) => parts.flat().join(""));

test("parts are the text again, and none takes long", () => {
  fc.assert(
    fc.property(fc.oneof(prose, fc.string({ maxLength: 5_000, unit: "grapheme" })), (text) => {
      const parts = [...partsOf(text)];
      assert.equal(parts.join(""), text);
      for (const part of parts) assert.ok(!loneSurrogate.test(part) && normalLength(part) <= 4_096);
    }),
    { numRuns: 50 },
  );
  for (const text of ["x".repeat(50_000), "😀".repeat(9_999), "\ufdfa".repeat(9_999)]) {
    assert.equal([...partsOf(text)].join(""), text);
  }
});

describe("tokens of the parts are those of the whole", { skip: skipWithout("models") }, () => {
  for (const name of ["bert-st-mean", "roberta-st-mean", "xlmr-st-cls-sharded"]) {
    test(name, async () => {
      const file = sharedPath("models", "reference", name, "tokenizer.json");
      const tokenizer = await TextTokenizer.open({ path: file, unknownTokenId: null });
      fc.assert(
        fc.property(prose, (text) => {
          const whole = tokenizer.encodePlain(text);
          const parts = [...partsOf(text)].flatMap((part) => tokenizer.encodePlain(part));
          assert.deepEqual(parts, whole);
        }),
        { numRuns: 20 },
      );
    });
  }
});

describe("defect: long texts without single spaces", { skip: skipWithout("models") }, () => {
  const random = (seed: number) => (count: number) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % count;
  };
  const longTexts = ["", "\n", "  ", "\n\n", "。"].map((between, seed) => {
    const next = random(seed);
    const some =
      between === "" || between === "。"
        ? "你好世界今天气很我们去公园散步".split("")
        : ["the", "Quick", "fox's", "3.14"];
    const step = between === "。" ? 29 : 1;
    return Array.from({ length: 3_000 }, (_, at) => {
      return `${some[next(some.length)] ?? ""}${at % step === step - 1 ? between : ""}`;
    }).join("");
  });
  for (const name of ["bert-st-mean", "roberta-st-mean", "xlmr-st-cls-sharded", "modernbert-cls"]) {
    test(`${name}: their tokens are those of the whole`, async () => {
      const file = sharedPath("models", "reference", name, "tokenizer.json");
      const tokenizer = await TextTokenizer.open({ path: file, unknownTokenId: null });
      const texts = await open({ path: file, inputTokensMax: 50_000, inputCharactersMax: 50_000 });
      for (const text of longTexts) {
        const at = { param: "texts[0]", truncate: false, embedding: null, resultBytes: () => 0 };
        const [tokens] = [...texts.steps(text, at)].flatMap((step) =>
          step.kind === "piece" ? [step.piece.payload.tensors["tokens"]?.data] : [],
        );
        assert.deepEqual(Array.from(tokens as Int32Array), tokenizer.encode(text));
      }
    });
  }
});

test("defect: a tokenizer that the library stumbles over is a broken folder, whenever it does", async () => {
  const made = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
  const broken = temp.file("broken.json");
  for (const change of [
    { post_processor: { type: "TemplateProcessing", single: ["x"], pair: [null] } },
    { added_tokens: [{ id: 0, content: {}, special: true }] },
  ]) {
    await writeFile(broken, JSON.stringify({ ...made, ...change }));
    await assert.rejects(open({ path: broken }), (error) => {
      assert.ok(error instanceof MillraceError, String(error));
      assert.equal(error.code, "model_folder_invalid");
      assert.match(error.message, /broken\.json is no tokenizer/);
      return true;
    });
  }
});
