import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { test } from "node:test";
import { readMarianConfig } from "#src/convert/marian/config.js";
import { TempDir } from "../support/temp-dir.js";

const valid = {
  model_type: "marian",
  vocab_size: 100,
  d_model: 8,
  encoder_layers: 2,
  decoder_layers: 1,
  encoder_attention_heads: 2,
  decoder_attention_heads: 4,
  encoder_ffn_dim: 16,
  decoder_ffn_dim: 12,
  max_position_embeddings: 32,
  activation_function: "swish",
  scale_embedding: true,
  decoder_start_token_id: 99,
  eos_token_id: 0,
  pad_token_id: 99,
};

async function read(config: unknown, generation?: unknown) {
  await using dir = await TempDir.make();
  await writeFile(dir.file("config.json"), JSON.stringify(config));
  if (generation !== undefined) {
    await writeFile(dir.file("generation_config.json"), JSON.stringify(generation));
  }
  return await readMarianConfig(dir.path);
}

test("reads the structure, with transformers' defaults for what is left out", async () => {
  const config = await read(valid);
  assert.deepEqual(config, {
    modelType: "marian",
    vocabularySize: 100,
    decoderVocabularySize: 100,
    width: 8,
    encoder: { layers: 2, heads: 2, feedForward: 16 },
    decoder: { layers: 1, heads: 4, feedForward: 12 },
    positions: 32,
    activation: "silu",
    scaleEmbedding: true,
    sharedEmbeddings: true,
    tiedOutput: true,
    generation: {
      startTokenId: 99,
      endTokenId: 0,
      padTokenId: 99,
      unknownTokenId: null,
      forcedEndTokenId: null,
      badWords: [],
      beams: 1,
      maxLength: 20,
      lengthPenalty: 1,
      earlyStopping: false,
      renormalizeLogits: false,
    },
  });
});

test("generation_config.json, where it exists, is the only source of generation settings", async () => {
  const config = { ...valid, num_beams: 6, max_length: 30, bad_words_ids: [[99], [0]] };
  const alone = await read(config);
  assert.equal(alone.generation.beams, 6);
  assert.equal(alone.generation.maxLength, 30);
  assert.deepEqual(alone.generation.badWords, [[99]], "the end token is no bad word");
  const both = await read(config, { max_new_tokens: 9, eos_token_id: [5], forced_eos_token_id: 5 });
  assert.equal(both.generation.beams, 1);
  assert.equal(both.generation.maxLength, 10);
  assert.deepEqual(both.generation.badWords, []);
  assert.equal(both.generation.endTokenId, 5);
  assert.equal(both.generation.forcedEndTokenId, 5);
  assert.equal(both.generation.startTokenId, 99, "an id that it lacks is config.json's");
});

test("an output is never longer than the positions", async () => {
  const config = await read({ ...valid, max_length: 512 });
  assert.equal(config.generation.maxLength, 32);
});

const refused: readonly [
  what: string,
  config: unknown,
  generation: unknown,
  code: string,
  says: RegExp,
][] = [
  [
    "an unknown activation",
    { ...valid, activation_function: "mish" },
    undefined,
    "model_unsupported",
    /"mish".*swish/,
  ],
  [
    "heads that do not divide the width",
    { ...valid, decoder_attention_heads: 3 },
    undefined,
    "model_unsupported",
    /d_model 8 .* decoder_attention_heads 3/,
  ],
  [
    "one table for two vocabularies",
    { ...valid, decoder_vocab_size: 50 },
    undefined,
    "model_unsupported",
    /decoder_vocab_size 50/,
  ],
  [
    "a missing key",
    { ...valid, d_model: undefined },
    undefined,
    "model_folder_invalid",
    /config\.json: d_model/,
  ],
  [
    "a wrong type",
    { ...valid, encoder_layers: "6" },
    undefined,
    "model_folder_invalid",
    /config\.json: encoder_layers/,
  ],
  [
    "a negative size",
    { ...valid, encoder_ffn_dim: -1 },
    undefined,
    "model_folder_invalid",
    /encoder_ffn_dim/,
  ],
  [
    "an id out of the vocabulary",
    { ...valid, eos_token_id: 100 },
    undefined,
    "model_folder_invalid",
    /eos_token_id: 100/,
  ],
  [
    "no start token",
    { ...valid, decoder_start_token_id: null },
    undefined,
    "model_folder_invalid",
    /decoder_start_token_id/,
  ],
  ["several end tokens", valid, { eos_token_id: [0, 1] }, "model_unsupported", /list of 2/],
  ["sampling", valid, { do_sample: true }, "model_unsupported", /do_sample true/],
  ["a repetition penalty", valid, { repetition_penalty: 1.2 }, "model_unsupported", /1\.2/],
  ["nine beams", valid, { num_beams: 9 }, "model_unsupported", /num_beams 9; the most is 8/],
  [
    "a wrong generation setting",
    valid,
    { length_penalty: "1" },
    "model_folder_invalid",
    /generation_config\.json: length_penalty/,
  ],
];

for (const [what, config, generation, code, says] of refused) {
  test(`refuses ${what}`, async () => {
    await assert.rejects(read(config, generation), { code, message: says });
  });
}

test("a folder without config.json, and one that is not JSON, are named", async () => {
  await using dir = await TempDir.make();
  await assert.rejects(readMarianConfig(dir.path), {
    code: "model_folder_invalid",
    message: /config\.json is missing/,
  });
  await writeFile(dir.file("config.json"), "{");
  await assert.rejects(readMarianConfig(dir.path), {
    code: "model_folder_invalid",
    message: /config\.json is not JSON/,
  });
});
