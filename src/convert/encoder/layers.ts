/** The layers of both kinds of encoder: tokens in a flat list, `[T, width]`, and attention alone sees sentences. */
import { addActivation } from "../activations.js";
import { addAttention, atPlaces, type Places } from "../places.js";
import { addProduct, type ProductSpec, type ProductWriter } from "../products.js";
import type { BertConfig, ModernConfig } from "./config.js";
import type { Positions } from "./positions.js";

export interface LayerInput {
  readonly layer: number;
  readonly hidden: string;
  readonly places: Places;
  /** `[B, S, heads, size]`. */
  readonly heads: string;
  readonly positions: Positions;
  /** Places whose rows are wanted of attention, and the same rows of the hidden state; null: all tokens. */
  readonly only: { readonly places: string; readonly tokens: string } | null;
}

export async function addBertLayer(
  writer: ProductWriter,
  config: BertConfig,
  at: LayerInput,
): Promise<string> {
  const { graph } = writer;
  const { width, architecture, activation } = config;
  const { names } = architecture;
  const source = (name: string) => `${names.layers}.${at.layer}.${name}`;
  const specOf = partSpecs(config, at.layer);
  const qkv = await addProduct(
    writer,
    specOf("qkv", [
      // The scale of scores is in the query's weights.
      { name: source(names.query), factor: 1 / Math.sqrt(width / config.heads) },
      { name: source(names.key) },
      { name: source(names.value) },
    ]),
    at.hidden,
  );
  const context = addAttention(graph, {
    ...queryKeyValue(writer, qkv, at.places),
    shape: at.heads,
    width,
    bias: at.positions.globalBias,
    wanted: at.only?.places ?? at.places.tokenPlaces,
  });
  const attended = await addProduct(writer, specOf("out", [{ name: source(names.out) }]), context);
  const sum = graph.node("Add", [attended, wantedRows(writer, at)]);
  const normed = await addNorm(writer, config, { x: sum, name: source(names.attentionNorm) });
  const inner = await addProduct(writer, specOf("fc1", [{ name: source(names.fc1) }]), normed);
  const active = addActivation(graph, activation, inner);
  const outer = await addProduct(writer, specOf("fc2", [{ name: source(names.fc2) }]), active);
  const output = graph.node("Add", [outer, normed]);
  return await addNorm(writer, config, { x: output, name: source(names.outputNorm) });
}

export async function addModernLayer(
  writer: ProductWriter,
  config: ModernConfig,
  at: LayerInput,
): Promise<string> {
  const { graph } = writer;
  const { width, heads, activation, attentionBias, feedForwardBias } = config;
  const source = (name: string) => `layers.${at.layer}.${name}`;
  const specOf = partSpecs(config, at.layer);
  const isGlobal = config.global[at.layer] === true;
  const first =
    at.layer === 0
      ? at.hidden
      : await addNorm(writer, config, { x: at.hidden, name: source("attn_norm") });
  const qkv = await addProduct(
    writer,
    specOf(
      "qkv",
      // The scale of scores is in the query's weights; rotation leaves it where it is.
      [1 / Math.sqrt(width / heads), 1, 1].map((factor, index) => ({
        name: source("attn.Wqkv"),
        factor,
        part: { index, of: 3 },
      })),
      attentionBias,
    ),
    first,
  );
  const { query, key, value } = queryKeyValue(writer, qkv, at.places);
  const tables = isGlobal ? at.positions.globalRotation : at.positions.localRotation;
  const turn = (x: string) => addRotation(writer, { x, width, tables, places: at.places });
  const context = addAttention(graph, {
    query: turn(query),
    key: turn(key),
    value,
    shape: at.heads,
    width,
    bias: isGlobal ? at.positions.globalBias : at.positions.localBias,
    wanted: at.only?.places ?? at.places.tokenPlaces,
  });
  const attended = await addProduct(
    writer,
    specOf("out", [{ name: source("attn.Wo") }], attentionBias),
    context,
  );
  const middle = graph.node("Add", [attended, wantedRows(writer, at)]);
  const normed = await addNorm(writer, config, { x: middle, name: source("mlp_norm") });
  const both = await addProduct(
    writer,
    specOf("fc1", [{ name: source("mlp.Wi") }], feedForwardBias),
    normed,
  );
  const [input = "", gate = ""] = graph.nodes("Split", [both], {
    attributes: { axis: -1 },
    outputs: 2,
  });
  const active = graph.node("Mul", [addActivation(graph, activation, input), gate]);
  const outer = await addProduct(
    writer,
    specOf("fc2", [{ name: source("mlp.Wo") }], feedForwardBias),
    active,
  );
  return graph.node("Add", [outer, middle]);
}

/** LayerNorm of what was added up. Two nodes: the fused SkipLayerNormalization takes four times as long on CPU. */
export async function addNorm(
  writer: ProductWriter,
  config: BertConfig | ModernConfig,
  of: { readonly x: string; readonly name: string },
): Promise<string> {
  const { graph, weights, read } = writer;
  const parts = config.kind === "bert" || config.normBias ? ["weight", "bias"] : ["weight"];
  const parameters: string[] = [];
  for (const part of parts) {
    const name = `${of.name}.${part}`;
    const shape = [config.width];
    parameters.push(
      graph.weight(await weights.write({ name, type: "f32", shape }, await read(name))),
    );
  }
  return graph.node("LayerNormalization", [of.x, ...parameters], {
    attributes: { axis: -1, epsilon: { float: config.epsilon } },
  });
}

type LayerPart = "qkv" | "out" | "fc1" | "fc2";

function partSpecs({ width, feedForward }: BertConfig | ModernConfig, layer: number) {
  return (part: LayerPart, sources: ProductSpec["sources"], bias = true): ProductSpec => ({
    name: `encoder.${layer}.${part}`,
    sources,
    inputWidth: part === "fc2" ? feedForward : width,
    ...(bias ? {} : { bias: "none" }),
  });
}

function queryKeyValue({ graph }: ProductWriter, qkv: string, places: Places) {
  const [query = "", key = "", value = ""] = graph.nodes("Split", [atPlaces(graph, qkv, places)], {
    attributes: { axis: -1 },
    outputs: 3,
  });
  return { query, key, value };
}

function wantedRows({ graph }: ProductWriter, { hidden, only }: LayerInput): string {
  if (only === null) return hidden;
  return graph.node("Gather", [hidden, only.tokens], { attributes: { axis: 0 } });
}

/** Turns each half of a head's numbers against the other, by its place in the sentence. */
function addRotation(
  { graph }: ProductWriter,
  of: {
    readonly x: string;
    readonly width: number;
    readonly tables: readonly string[];
    readonly places: Places;
  },
): string {
  const rest = graph.ints("row_width", [of.width]);
  const shape = graph.node("Concat", [of.places.sentenceShape, rest], { attributes: { axis: 0 } });
  const rows = graph.node("Reshape", [of.x, shape]);
  const start = graph.ints("first_position", [0]);
  const turned = graph.node("RotaryEmbedding", [rows, start, ...of.tables], { microsoft: true });
  return graph.node("Reshape", [turned, graph.ints("flat", [-1, of.width])]);
}
