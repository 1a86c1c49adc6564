/** Where tokens stand in their text: as Hugging Face's own tokenizers say it, for each kind of tokenizer. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { after, before, describe, test } from "node:test";
import fc from "fast-check";
import { TextTokenizer } from "#src/prepare/text/text-tokenizer.js";
import { readLines } from "../support/reference.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";

interface Row {
  readonly name: string;
  readonly text: string;
  /** Start and stop of each token. */
  readonly places: readonly number[];
}

type Parts = Readonly<Record<string, object>>;

const roberta = {
  type: "RobertaProcessing",
  sep: ["</s>", 2],
  cls: ["<s>", 0],
  trim_offsets: true,
};

/** Tokenizers that no reference folder has: one of them, changed. */
const changes: Readonly<Record<string, readonly [of: string, change: (parts: Parts) => object]>> = {
  "roberta-trim": [
    "roberta-st-mean",
    () => ({ post_processor: { ...roberta, add_prefix_space: false } }),
  ],
  "roberta-prefix": [
    "roberta-st-mean",
    ({ pre_tokenizer: pre }) => ({
      post_processor: { ...roberta, add_prefix_space: true },
      pre_tokenizer: { ...pre, add_prefix_space: true },
    }),
  ],
  "xlmr-ws": [
    "xlmr-st-cls-sharded",
    ({ pre_tokenizer: pre }) => ({
      pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "WhitespaceSplit" }, pre] },
    }),
  ],
  "xlmr-first": [
    "xlmr-st-cls-sharded",
    ({ pre_tokenizer: pre }) => ({ pre_tokenizer: { ...pre, prepend_scheme: "first" } }),
  ],
  "bert-cased": [
    "bert-st-mean",
    ({ normalizer }) => ({
      normalizer: { ...normalizer, lowercase: false, strip_accents: false },
    }),
  ],
};

let temp: TempDir;

before(async () => {
  temp = await TempDir.make();
});

after(() => temp[Symbol.asyncDispose]());

async function open(name: string): Promise<TextTokenizer> {
  const [of = name, change] = changes[name] ?? [];
  const file = sharedPath("models", "reference", of, "tokenizer.json");
  if (change === undefined) return await TextTokenizer.open({ path: file, unknownTokenId: null });
  const parts = JSON.parse(readFileSync(file, "utf8")) as Parts;
  const path = temp.file(`${name}.json`);
  await writeFile(path, JSON.stringify({ ...parts, ...change(parts) }));
  return await TextTokenizer.open({ path, unknownTokenId: null });
}

describe("places of tokens", { skip: skipWithout("models", "reference") }, () => {
  const { rows } = readLines<Row>("token-places.jsonl");
  for (const name of new Set(rows.map((row) => row.name))) {
    test(`${name}: those of Hugging Face's tokenizers`, async () => {
      const tokenizer = await open(name);
      for (const { text, places } of rows.filter((row) => row.name === name)) {
        const { tokens } = tokenizer.tokenize(text);
        const found = tokenizer.placesOf(text, tokens).flatMap((place) => {
          return place === null ? [null, null] : [place.start, place.stop];
        });
        assert.deepEqual(found, places, JSON.stringify([text, tokens]));
      }
    });
  }

  test("of any text they rise and stay within it, or are not told", async () => {
    for (const name of ["bert-st-mean", "roberta-st-mean", "xlmr-st-cls-sharded"]) {
      const tokenizer = await open(name);
      fc.assert(
        fc.property(fc.string({ unit: "grapheme", maxLength: 60 }), (text) => {
          const { length } = Array.from(text);
          let last = 0;
          for (const place of tokenizer.placesOf(text, tokenizer.tokenize(text).tokens)) {
            if (place === null) continue;
            assert.ok(place.start >= 0 && place.start <= place.stop && place.stop <= length);
            assert.ok(place.start >= last - 1, "a character may be of two tokens");
            last = place.start;
          }
        }),
        { numRuns: 100 },
      );
    }
  });

  test("tokens that are not the text's have no places", async () => {
    for (const name of ["bert-st-mean", "roberta-st-mean", "xlmr-st-cls-sharded"]) {
      const tokenizer = await open(name);
      const { tokens } = tokenizer.tokenize("one text");
      const places = tokenizer.placesOf("something else entirely", tokens);
      assert.deepEqual(
        places,
        tokens.map(() => null),
        name,
      );
    }
  });
});
