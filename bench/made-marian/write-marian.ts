/**
 * A Marian folder as Hugging Face would have it, of any size, with weights made from a seed: the translations mean nothing, and are the
 * same each time. The end token is never chosen: its bias drops it after all scores of the whole vocabulary have been computed, so that
 * every output has `outputTokens` tokens and each of them costs what a token costs.
 */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { readMarianConfig } from "#src/convert/marian/config.js";
import { expectedTensors } from "#src/convert/marian/tensors.js";
import { Random } from "../../test/sim/random.js";
import { bundledModelDir } from "../../test/support/engine.js";
import {
  countOf,
  type SourceTensor,
  writeSafetensors,
} from "../../test/support/safetensors-file.js";
import { madeTokenizer } from "./made-tokenizer.js";
import type { MarianShape } from "./shapes.js";

const endTokenId = 0;
/** Of the end token: less likely than anything else, and still a number in float16. */
const endBias = -1e4;
/** Of the logits: the likeliest of 32,000 tokens gets about a tenth. */
const logitDeviation = 3;

/** Writes it as it is made, one tensor in memory at a time; returns how many parameters it has. */
export async function writeMarian(dir: string, shape: MarianShape, seed: number): Promise<number> {
  await mkdir(dir, { recursive: true });
  await writeFile(join(dir, "config.json"), `${JSON.stringify(configOf(shape), null, 2)}\n`);
  await writeFile(
    join(dir, "tokenizer.json"),
    `${JSON.stringify(await madeTokenizer(bundledModelDir, shape.vocabulary))}\n`,
  );
  await writeFile(
    join(dir, "tokenizer_config.json"),
    `${JSON.stringify({ source_lang: "en", target_lang: "zh" })}\n`,
  );
  const tensors = new Map<string, SourceTensor>();
  let parameters = 0;
  for (const [index, { name, shape: sizes }] of expectedTensors(
    await readMarianConfig(dir),
  ).entries()) {
    // Sinusoids: no weights, and convert computes them.
    if (name.endsWith("embed_positions.weight")) continue;
    parameters += countOf(sizes);
    tensors.set(name, { shape: sizes, make: () => valuesOf(name, sizes, seed * 1_000 + index) });
  }
  await writeSafetensors(join(dir, "model.safetensors"), tensors);
  return parameters;
}

function configOf(shape: MarianShape): object {
  return {
    model_type: "marian",
    architectures: ["MarianMTModel"],
    vocab_size: shape.vocabulary,
    decoder_vocab_size: shape.vocabulary,
    d_model: shape.width,
    encoder_layers: shape.layers,
    decoder_layers: shape.layers,
    encoder_attention_heads: shape.heads,
    decoder_attention_heads: shape.heads,
    encoder_ffn_dim: shape.feedForward,
    decoder_ffn_dim: shape.feedForward,
    activation_function: "relu",
    max_position_embeddings: shape.positions,
    scale_embedding: true,
    share_encoder_decoder_embeddings: false,
    tie_word_embeddings: false,
    eos_token_id: endTokenId,
    unk_token_id: 1,
    pad_token_id: 2,
    decoder_start_token_id: 2,
    bad_words_ids: [[2]],
    // The start token is counted. No end is forced: the last token is computed like the others.
    max_length: shape.outputTokens + 1,
    num_beams: shape.beams,
  };
}

function valuesOf(name: string, sizes: readonly number[], seed: number): Float32Array {
  const random = new Random(seed);
  const mean = name.endsWith("norm.weight") ? 1 : 0;
  const deviation = deviationOf(name, sizes);
  const values = new Float32Array(countOf(sizes)).map(() => mean + deviation * noise(random));
  if (name === "final_logits_bias") values[endTokenId] = endBias;
  if (name.endsWith("fc2.weight")) balanceRows(values, sizes.at(-1) ?? 1);
  return values;
}

/** As wide as keeps the size of what flows through, but for the gains below. */
function deviationOf(name: string, sizes: readonly number[]): number {
  if (sizes.length < 2 || name === "final_logits_bias") return 0.02;
  const gain = gains.find(([pattern]) => pattern.test(name))?.[1] ?? 1;
  return gain / Math.sqrt(sizes.at(-1) ?? 1);
}

/**
 * With all of them 1, every state comes out alike after some layers, and every output is one token again and again. So attention looks at
 * few places, and each part adds little to the state: what was said last and what was asked still show at the end.
 */
const gains: readonly (readonly [name: RegExp, gain: number])[] = [
  [/lm_head\.weight$/, logitDeviation],
  [/[qk]_proj\.weight$/, 2.5],
  [/out_proj\.weight$/, 0.4],
  [/fc2\.weight$/, 0.6],
];

/** Behind an activation that is never negative, a row with a sum adds the same to every state. */
function balanceRows(values: Float32Array, width: number): void {
  for (let from = 0; from < values.length; from += width) {
    const row = values.subarray(from, from + width);
    const mean = row.reduce((sum, value) => sum + value, 0) / width;
    for (let at = 0; at < width; at += 1) row[at] = (row[at] ?? 0) - mean;
  }
}

/** About normal. */
function noise(random: Random): number {
  return Math.sqrt(3) * (random.next() + random.next() + random.next() + random.next() - 2);
}
