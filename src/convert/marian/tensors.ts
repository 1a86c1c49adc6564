/** The tensors that transformers' MarianMTModel saves, and whether the weights have them. */
import type { ReadTensor } from "../products.js";
import type { Weights } from "../reading/weights.js";
import {
  type ExpectedTensor,
  expectedReader,
  requireTensors,
  expectTensor as tensor,
} from "../tensors.js";
import type { MarianConfig, StackConfig } from "./config.js";

const sharedTable = "model.shared.weight";
const encoderTable = "model.encoder.embed_tokens.weight";
const decoderTable = "model.decoder.embed_tokens.weight";
const outputTable = "lm_head.weight";

/**
 * Every tensor of the model under its Hugging Face name; products are `[out, in]`. Those that are optional transformers
 * makes itself where the file lacks them: positions are sinusoids, the bias is zero.
 */
export function expectedTensors(config: MarianConfig): ExpectedTensor[] {
  const { width, positions, decoderVocabularySize } = config;
  const positionTable = [positions, width];
  return [
    ...embeddingTensors(config),
    tensor("final_logits_bias", [1, decoderVocabularySize], { optional: true }),
    tensor("model.encoder.embed_positions.weight", positionTable, { optional: true }),
    ...stackTensors("model.encoder", config.encoder, config),
    tensor("model.decoder.embed_positions.weight", positionTable, { optional: true }),
    ...stackTensors("model.decoder", config.decoder, config),
  ];
}

/** Names of the tables that the encoder, the decoder and the output projection use: often one and the same. */
export function embeddingTables(
  config: MarianConfig,
): Record<"encoder" | "decoder" | "output", string> {
  const oneTable = isOneTable(config);
  const decoder = oneTable ? sharedTable : decoderTable;
  return {
    encoder: oneTable ? sharedTable : encoderTable,
    decoder,
    output: config.tiedOutput ? decoder : outputTable,
  };
}

/**
 * Whether encoder and decoder look words up in one table. Where the output has a table of its own, transformers ties
 * none of the others any more either: two that began as one may have been trained apart.
 */
function isOneTable({ sharedEmbeddings, tiedOutput }: MarianConfig): boolean {
  return sharedEmbeddings && tiedOutput;
}

/** Reads tensors by their Hugging Face names, aliases followed, and makes those that a file may leave out. */
export function tensorReader(
  weights: Pick<Weights, "tensors" | "read">,
  config: MarianConfig,
): ReadTensor {
  return expectedReader(weights, expectedTensors(config), ({ name, shape }) =>
    name.endsWith("embed_positions.weight")
      ? sinusoidalPositions(config.positions, config.width)
      : new Float32Array(shape.reduce((product, length) => product * length, 1)),
  );
}

/** Throws `tensor_missing` or `tensor_mismatch`; tensors that the model does not need are left alone. */
export function checkTensors(weights: Pick<Weights, "tensors">, config: MarianConfig): void {
  requireTensors(weights, expectedTensors(config));
}

/**
 * The table `[positions, width]` that transformers computes where a file has none: sines in the first half of
 * the width, cosines in the second, as in its MarianSinusoidalPositionalEmbedding.
 */
export function sinusoidalPositions(positions: number, width: number): Float32Array {
  const table = new Float32Array(positions * width);
  const sines = Math.ceil(width / 2);
  for (let position = 0; position < positions; position += 1) {
    for (let column = 0; column < width; column += 1) {
      const pair = column < sines ? column : column - sines;
      const angle = position / 10_000 ** ((2 * pair) / width);
      table[position * width + column] = column < sines ? Math.sin(angle) : Math.cos(angle);
    }
  }
  return table;
}

function embeddingTensors(config: MarianConfig): ExpectedTensor[] {
  const { width, vocabularySize, decoderVocabularySize, sharedEmbeddings, tiedOutput } = config;
  const decoderShape = [decoderVocabularySize, width];
  if (isOneTable(config)) {
    const aliases = [encoderTable, decoderTable, outputTable];
    return [tensor(sharedTable, decoderShape, { aliases })];
  }
  // Older versions of transformers save one table for both under the shared name.
  const shared = sharedEmbeddings ? [sharedTable] : [];
  return [
    tensor(encoderTable, [vocabularySize, width], { aliases: shared }),
    tensor(decoderTable, decoderShape, { aliases: tiedOutput ? [outputTable] : shared }),
    ...(tiedOutput ? [] : [tensor(outputTable, decoderShape)]),
  ];
}

function stackTensors(
  prefix: "model.encoder" | "model.decoder",
  stack: StackConfig,
  { width }: MarianConfig,
): ExpectedTensor[] {
  const attentions = prefix === "model.encoder" ? ["self_attn"] : ["self_attn", "encoder_attn"];
  return Array.from({ length: stack.layers }, (_, layer) => {
    const at = `${prefix}.layers.${layer}`;
    return [
      ...attentions.flatMap((attention) => [
        ...["q_proj", "k_proj", "v_proj", "out_proj"].flatMap((projection) =>
          product(`${at}.${attention}.${projection}`, width, width),
        ),
        ...norm(`${at}.${attention}_layer_norm`, width),
      ]),
      ...product(`${at}.fc1`, stack.feedForward, width),
      ...product(`${at}.fc2`, width, stack.feedForward),
      ...norm(`${at}.final_layer_norm`, width),
    ];
  }).flat();
}

function product(name: string, outputs: number, inputs: number): ExpectedTensor[] {
  return [tensor(`${name}.weight`, [outputs, inputs]), tensor(`${name}.bias`, [outputs])];
}

function norm(name: string, width: number): ExpectedTensor[] {
  return [tensor(`${name}.weight`, [width]), tensor(`${name}.bias`, [width])];
}
