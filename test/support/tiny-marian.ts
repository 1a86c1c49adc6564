/**
 * Tiny float32 models from a seed, and what transformers generates with them: `test/fixtures/tiny-marian.jsonl`, made by
 * `make-rows.ts` and `transformers-rows.py` beside it. The weights need not be stored, because the seed gives them.
 */
import type { MarianFolderOptions } from "./marian-folder.js";
import { readLines } from "./reference.js";

export interface TinyResult {
  readonly ids: readonly number[];
  readonly score: number;
}

export interface TinyRow {
  readonly model: string;
  readonly input: readonly number[];
  readonly greedy: TinyResult;
  readonly beam4: TinyResult;
}

/** With larger products than usual, so that what is said depends on what was asked. */
const change: MarianFolderOptions["change"] = (name, values) => {
  if (!/attn\..*weight$|fc\d\.weight$/.test(name)) return;
  for (const [index, value] of values.entries()) values[index] = 2.5 * value;
};

const variants: Readonly<Record<string, MarianFolderOptions>> = {
  shared: { seed: 9 },
  relu: { config: { activation_function: "relu" }, seed: 2 },
  "gelu, not scaled": { config: { activation_function: "gelu", scale_embedding: false }, seed: 3 },
  gelu_new: { config: { activation_function: "gelu_new" }, seed: 4 },
  "output table": { config: { tie_word_embeddings: false }, seed: 5 },
  "own tables": { config: { share_encoder_decoder_embeddings: false }, seed: 6 },
  "two vocabularies": {
    config: { share_encoder_decoder_embeddings: false, decoder_vocab_size: 700 },
    seed: 7,
  },
  "two vocabularies, output table": {
    config: {
      share_encoder_decoder_embeddings: false,
      tie_word_embeddings: false,
      decoder_vocab_size: 700,
    },
    seed: 8,
  },
};

/** Each differs from transformers' usual Marian in another way. */
export const tinyModels: Readonly<Record<string, MarianFolderOptions>> = Object.fromEntries(
  Object.entries(variants).map(([name, options]) => [name, { ...options, change }]),
);

export function readTinyRows(): readonly TinyRow[] {
  return readLines<TinyRow>("tiny-marian.jsonl").rows;
}
