/**
 * Reads what Hugging Face's config.json and generation_config.json say of a Marian translation model, with the
 * meaning that transformers' MarianMTModel gives it. A setting that would change the translations and that
 * Millrace does not have is refused, never ignored.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import type { GenerationRules } from "../../models/manifest-generation.js";
import { checkShape, readJsonFile } from "../../models/read-json.js";
import { generationLimits } from "../../work/generation.js";
import { type Activation, activations } from "../activations.js";

export interface StackConfig {
  readonly layers: number;
  readonly heads: number;
  /** Width between the two feed-forward products. */
  readonly feedForward: number;
}

export interface MarianConfig {
  readonly modelType: "marian";
  /** Of the encoder. */
  readonly vocabularySize: number;
  /** Of the decoder; the same unless the embeddings are not shared. */
  readonly decoderVocabularySize: number;
  readonly width: number;
  readonly encoder: StackConfig;
  readonly decoder: StackConfig;
  readonly positions: number;
  readonly activation: Activation;
  /** Embeddings are multiplied by the square root of the width. */
  readonly scaleEmbedding: boolean;
  /** Encoder and decoder look words up in one table. */
  readonly sharedEmbeddings: boolean;
  /** The output projection is the decoder's table. */
  readonly tiedOutput: boolean;
  readonly generation: GenerationRules;
}

const size = z.int().positive().max(1_000_000_000);
/** Far over any model; keeps a hostile number from becoming a list of tensors. */
const layers = size.max(1000);
/** Likewise: where the file has no table of positions, one is made. */
const positions = size.max(32_768);
/** Likewise: each of them is looked at in every step. */
const badWordsMax = 10_000;
const { beamsMax, lengthPenaltyMax } = generationLimits;
const configBytesMax = 4 * 1024 * 1024;
const tokenId = z.int().nonnegative();
const tokenIds = z.union([tokenId, z.array(tokenId)]);

/** Defaults are those of transformers' MarianConfig, which leaves a key out where it has the default. */
const configSchema = z.looseObject({
  vocab_size: size,
  decoder_vocab_size: size.nullish(),
  d_model: size,
  encoder_layers: layers,
  decoder_layers: layers,
  encoder_attention_heads: size,
  decoder_attention_heads: size,
  encoder_ffn_dim: size,
  decoder_ffn_dim: size,
  max_position_embeddings: positions,
  activation_function: z.string().default("gelu"),
  scale_embedding: z.boolean().default(false),
  share_encoder_decoder_embeddings: z.boolean().default(true),
  tie_word_embeddings: z.boolean().default(true),
  unk_token_id: tokenId.nullish(),
});

const generationSchema = z.looseObject({
  decoder_start_token_id: tokenIds.nullish(),
  eos_token_id: tokenIds.nullish(),
  pad_token_id: tokenId.nullish(),
  forced_eos_token_id: tokenIds.nullish(),
  bad_words_ids: z.array(z.array(tokenId).min(1)).max(badWordsMax).nullish(),
  num_beams: size.nullish(),
  max_length: size.nullish(),
  max_new_tokens: size.nullish(),
  length_penalty: z.number().min(-lengthPenaltyMax).max(lengthPenaltyMax).nullish(),
  early_stopping: z.union([z.boolean(), z.literal("never")]).nullish(),
  renormalize_logits: z.boolean().nullish(),
});

type RawConfig = z.infer<typeof configSchema>;
type RawGeneration = z.infer<typeof generationSchema>;

/** Generation settings that change the output and that Millrace lacks, each with the values that change nothing. */
const lackingSettings: Readonly<Record<string, readonly unknown[]>> = {
  do_sample: [false],
  num_beam_groups: [1],
  diversity_penalty: [0],
  penalty_alpha: [0],
  repetition_penalty: [1],
  encoder_repetition_penalty: [1],
  no_repeat_ngram_size: [0],
  encoder_no_repeat_ngram_size: [0],
  min_length: [0],
  min_new_tokens: [0],
  forced_bos_token_id: [],
  exponential_decay_length_penalty: [],
  suppress_tokens: [],
  begin_suppress_tokens: [],
  sequence_bias: [],
  force_words_ids: [],
  constraints: [],
  guidance_scale: [1],
  watermarking_config: [],
};

/**
 * Throws `model_folder_invalid` where a file is missing or has a wrong type, `model_unsupported` where the
 * model is well described and is not one that Millrace runs.
 */
export async function readMarianConfig(dir: string): Promise<MarianConfig> {
  const configPath = join(dir, "config.json");
  const value = await readJsonFile(configPath, configBytesMax);
  const raw = checkShape(configPath, value, configSchema);
  const structure = readStructure(raw);
  const generationPath = join(dir, "generation_config.json");
  const hasOwn = existsSync(generationPath);
  const generationValue = hasOwn ? await readJsonFile(generationPath, configBytesMax) : value;
  const rawGeneration = checkShape(
    hasOwn ? generationPath : configPath,
    generationValue,
    generationSchema,
  );
  // The ids are a property of the weights: where generation_config.json leaves one out, which transformers
  // answers with an exception, config.json's are meant.
  const ids = checkShape(configPath, value, generationSchema);
  return {
    ...structure,
    generation: readGeneration({ raw: rawGeneration, ids, config: raw, structure }),
  };
}

type Structure = Omit<MarianConfig, "generation">;

function readStructure(raw: RawConfig): Structure {
  const activation = activations.get(raw.activation_function);
  if (activation === undefined) {
    const name = JSON.stringify(raw.activation_function);
    throw unsupported(
      `activation_function ${name}; known are ${[...activations.keys()].join(", ")}`,
    );
  }
  const decoderVocabularySize = raw.decoder_vocab_size ?? raw.vocab_size;
  const sharedEmbeddings = raw.share_encoder_decoder_embeddings;
  if (sharedEmbeddings && decoderVocabularySize !== raw.vocab_size) {
    const sizes = `vocab_size ${raw.vocab_size} and decoder_vocab_size ${decoderVocabularySize}`;
    throw unsupported(`${sizes} differ, but share_encoder_decoder_embeddings is true`);
  }
  const encoder = {
    layers: raw.encoder_layers,
    heads: raw.encoder_attention_heads,
    feedForward: raw.encoder_ffn_dim,
  };
  const decoder = {
    layers: raw.decoder_layers,
    heads: raw.decoder_attention_heads,
    feedForward: raw.decoder_ffn_dim,
  };
  checkHeads(raw.d_model, "encoder_attention_heads", encoder.heads);
  checkHeads(raw.d_model, "decoder_attention_heads", decoder.heads);
  return {
    modelType: "marian",
    vocabularySize: raw.vocab_size,
    decoderVocabularySize,
    width: raw.d_model,
    encoder,
    decoder,
    positions: raw.max_position_embeddings,
    activation,
    scaleEmbedding: raw.scale_embedding,
    sharedEmbeddings,
    tiedOutput: raw.tie_word_embeddings,
  };
}

function checkHeads(width: number, key: string, heads: number): void {
  if (width % heads !== 0)
    throw unsupported(`d_model ${width} is not a multiple of ${key} ${heads}`);
}

interface GenerationSources {
  readonly raw: RawGeneration;
  readonly ids: RawGeneration;
  readonly config: RawConfig;
  readonly structure: Structure;
}

function readGeneration({ raw, ids, config, structure }: GenerationSources): GenerationRules {
  refuseLackingSettings(raw);
  const endTokenId = one("eos_token_id", raw.eos_token_id ?? ids.eos_token_id);
  const startTokenId = one(
    "decoder_start_token_id",
    raw.decoder_start_token_id ?? ids.decoder_start_token_id,
  );
  const forced = raw.forced_eos_token_id;
  const beams = raw.num_beams ?? 1;
  if (beams > beamsMax) {
    throw unsupported(`num_beams ${beams}; the most is ${beamsMax}`);
  }
  const generation: GenerationRules = {
    startTokenId,
    endTokenId,
    padTokenId: raw.pad_token_id ?? ids.pad_token_id ?? endTokenId,
    unknownTokenId: config.unk_token_id ?? null,
    forcedEndTokenId: forced == null ? null : one("forced_eos_token_id", forced),
    // As in transformers, the end token is no bad word, whatever the list says.
    badWords: (raw.bad_words_ids ?? []).filter((word) => word.length > 1 || word[0] !== endTokenId),
    beams,
    maxLength: Math.min(readMaxLength(raw), structure.positions),
    lengthPenalty: raw.length_penalty ?? 1,
    earlyStopping: raw.early_stopping ?? false,
    renormalizeLogits: raw.renormalize_logits ?? false,
  };
  checkTokenIds(generation, structure);
  return generation;
}

function refuseLackingSettings(raw: RawGeneration): void {
  const given = new Map<string, unknown>(Object.entries(raw));
  for (const [key, neutral] of Object.entries(lackingSettings)) {
    const value = given.get(key);
    if (value == null || neutral.includes(value)) continue;
    throw unsupported(`${key} ${JSON.stringify(value)}, a generation setting that Millrace lacks`);
  }
}

/** transformers counts new tokens after the start token, and its default is 20. */
function readMaxLength(raw: RawGeneration): number {
  return raw.max_new_tokens == null ? (raw.max_length ?? 20) : raw.max_new_tokens + 1;
}

function one(key: string, ids: number | readonly number[] | null | undefined): number {
  if (ids == null) throw new MillraceError("model_folder_invalid", `config.json has no ${key}`);
  if (typeof ids === "number") return ids;
  const [first, ...others] = ids;
  if (first === undefined || others.length > 0) {
    throw unsupported(`${key} is a list of ${ids.length}; Millrace takes exactly one`);
  }
  return first;
}

function checkTokenIds(generation: GenerationRules, structure: Structure): void {
  const { startTokenId, endTokenId, padTokenId, unknownTokenId, forcedEndTokenId, badWords } =
    generation;
  const named = {
    decoder_start_token_id: [startTokenId],
    eos_token_id: [endTokenId],
    pad_token_id: [padTokenId],
    unk_token_id: unknownTokenId === null ? [] : [unknownTokenId],
    forced_eos_token_id: forcedEndTokenId === null ? [] : [forcedEndTokenId],
    bad_words_ids: badWords.flat(),
  };
  if (endTokenId >= structure.vocabularySize) {
    const message = `eos_token_id: ${endTokenId} is not in the vocabulary of inputs, which has ${structure.vocabularySize}`;
    throw new MillraceError("model_folder_invalid", message);
  }
  const vocabulary = structure.decoderVocabularySize;
  for (const [key, ids] of Object.entries(named)) {
    const outside = ids.find((id) => id >= vocabulary);
    if (outside === undefined) continue;
    const message = `${key}: ${outside} is not in the vocabulary of ${vocabulary}`;
    throw new MillraceError("model_folder_invalid", message);
  }
}

function unsupported(message: string): MillraceError {
  return new MillraceError("model_unsupported", `this model has ${message}`);
}
