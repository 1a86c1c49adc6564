/** The tensors that transformers saves of an encoder, under the names that they have without a prefix. */
import { type ExpectedTensor, expectTensor } from "../tensors.js";
import type { BertConfig, EncoderConfig, ModernConfig } from "./config.js";
import type { Purpose } from "./purpose.js";

/** Every tensor that the graph needs; products are `[out, in]`. */
export function encoderTensors(config: EncoderConfig, purpose: Purpose): ExpectedTensor[] {
  const prefix = config.kind === "bert" ? config.architecture.prefix : modernPrefix;
  const body = config.kind === "bert" ? bertBody(config) : modernBody(config);
  return [...body, ...headTensors(config, purpose)].map((tensor) => withAliases(tensor, prefix));
}

const modernPrefix = "model.";

/** A file of a model with a head has a prefix, and one that was written years ago has other names for norms. */
function withAliases(tensor: ExpectedTensor, prefix: string): ExpectedTensor {
  const older = tensor.name
    .replace(/(LayerNorm)\.weight$/, "$1.gamma")
    .replace(/(LayerNorm)\.bias$/, "$1.beta");
  const names = older === tensor.name ? [tensor.name] : [tensor.name, older];
  const [, ...aliases] = [...names, ...names.map((name) => `${prefix}${name}`)];
  return { ...tensor, aliases };
}

function bertBody(config: BertConfig): ExpectedTensor[] {
  const { width, heads, architecture, positions, positionsBefore, typeRows } = config;
  const { names } = architecture;
  return [
    expectTensor(names.words, [config.vocabulary, width]),
    expectTensor(names.positions, [positionsBefore + positions, width]),
    ...(names.types === null || typeRows === 0
      ? []
      : [expectTensor(names.types, [typeRows, width])]),
    ...norm(names.norm, width),
    ...(names.relative === null
      ? []
      : [expectTensor(names.relative, [config.relativeBuckets, heads])]),
    ...range(config.layers).flatMap((layer) => {
      const at = `${names.layers}.${layer}`;
      return [
        ...[names.query, names.key, names.value, names.out].flatMap((name) =>
          product(`${at}.${name}`, [width, width]),
        ),
        ...norm(`${at}.${names.attentionNorm}`, width),
        ...product(`${at}.${names.fc1}`, [config.feedForward, width]),
        ...product(`${at}.${names.fc2}`, [width, config.feedForward]),
        ...norm(`${at}.${names.outputNorm}`, width),
      ];
    }),
  ];
}

function modernBody(config: ModernConfig): ExpectedTensor[] {
  const { width, feedForward, attentionBias, feedForwardBias, normBias } = config;
  return [
    expectTensor("embeddings.tok_embeddings.weight", [config.vocabulary, width]),
    ...norm("embeddings.norm", width, normBias),
    ...range(config.layers).flatMap((layer) => [
      // The embeddings are normalised already.
      ...(layer === 0 ? [] : norm(`layers.${layer}.attn_norm`, width, normBias)),
      ...product(`layers.${layer}.attn.Wqkv`, [3 * width, width], attentionBias),
      ...product(`layers.${layer}.attn.Wo`, [width, width], attentionBias),
      ...norm(`layers.${layer}.mlp_norm`, width, normBias),
      ...product(`layers.${layer}.mlp.Wi`, [2 * feedForward, width], feedForwardBias),
      ...product(`layers.${layer}.mlp.Wo`, [width, feedForward], feedForwardBias),
    ]),
    ...norm("final_norm", width, normBias),
  ];
}

function headTensors(config: EncoderConfig, purpose: Purpose): ExpectedTensor[] {
  if (purpose.kind === "embedding") return [];
  const { width } = config;
  const { dense, denseBias, norm: normed, out } = purpose.head;
  return [
    ...product(dense, [width, width], denseBias),
    ...(normed === null ? [] : norm(normed, width, config.kind === "modern" && config.normBias)),
    ...product(out, [purpose.labels.length, width]),
  ];
}

function product(
  name: string,
  shape: readonly [outputs: number, inputs: number],
  bias = true,
): ExpectedTensor[] {
  const weight = expectTensor(`${name}.weight`, shape);
  return bias ? [weight, expectTensor(`${name}.bias`, [shape[0]])] : [weight];
}

function norm(name: string, width: number, bias = true): ExpectedTensor[] {
  const weight = expectTensor(`${name}.weight`, [width]);
  return bias ? [weight, expectTensor(`${name}.bias`, [width])] : [weight];
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
