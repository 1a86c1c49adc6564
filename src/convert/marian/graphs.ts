/**
 * The two graphs of a Marian translation model.
 *
 * encoder, T tokens of B sentences in one flat list, without padding:
 *   input_ids [T], positions [T], mask [B,1,1,S], place_tokens [B·S], token_places [T], sentence_shape = [B,S]
 *   →  cross_k.l, cross_v.l [B,H,S,D] of each decoder layer l
 * Only attention needs sentences side by side: place_tokens says which token stands in each place of [B,S] (in a padded
 * place one of the same sentence, which the mask drops), token_places where each token stands. Everything else,
 * nine tenths of the work, never sees a padded place.
 *
 * decoder, one step. Every row r stands at its own position; a sentence n owns W consecutive rows (its beams):
 *   tokens [R], positions [R], past_mask [R,1,1,M], past_k.l, past_v.l [R,H,M,D],
 *   cross_mask [N,1,1,S], cross_k.l, cross_v.l [N,H,S,D], cross_shape = [N,W,H,D], top_k [1]
 *   →  top_ids [R,K], top_scores [R,K] (log-probabilities), bad_scores [R,tokens that can complete a bad word], new_kv [R, L·2·H·D]: for each layer its key, then its value.
 *
 * The past is an input only. Nothing concatenates or gathers over it: the score of the new token is computed apart,
 * and the caller writes new_kv into the past. Masks are added to scores: 0 keeps, a large negative number drops.
 * Scores, softmax, layer norms, residuals and embeddings are float32 in every precision.
 */
import { badTokens } from "../../work/generation.js";
import { addActivation } from "../activations.js";
import { addLookup, addOutputProduct } from "../embeddings.js";
import { addEmbeddings, addLayerChoice } from "../encoder/outputs.js";
import type { GraphBuilder } from "../onnx/graph-builder.js";
import {
  addAttention,
  addPlaceInputs,
  atPlaces,
  headsShape,
  type Places,
  toHeads,
} from "../places.js";
import { addProduct, type ProductSpec, type ProductWriter } from "../products.js";
import type { MarianConfig, StackConfig } from "./config.js";
import { embeddingTables } from "./tensors.js";

/** The products of the encoder alone. */
export function marianEncoderProducts(shape: MarianConfig): readonly string[] {
  return marianProducts(shape).filter(
    (product) => product.startsWith("encoder.") && product !== crossProduct,
  );
}

/** Every product of the model, in the order in which a sentence meets them. */
export function marianProducts(shape: MarianConfig): readonly string[] {
  const encoder = range(shape.encoder.layers).flatMap((layer) =>
    ["qkv", "out", "fc1", "fc2"].map((part) => `encoder.${layer}.${part}`),
  );
  const decoder = range(shape.decoder.layers).flatMap((layer) =>
    ["qkv", "out", "cross_q", "cross_out", "fc1", "fc2"].map((part) => `decoder.${layer}.${part}`),
  );
  return [...encoder, crossProduct, ...decoder, outputProduct];
}

const crossProduct = "encoder.cross_kv";
const outputProduct = "output";

const layerNormEpsilon = 1e-5;

interface Side {
  readonly writer: ProductWriter;
  readonly shape: MarianConfig;
  readonly name: "encoder" | "decoder";
  /** `model.encoder` or `model.decoder`: where the weights of this side are. */
  readonly prefix: string;
  readonly heads: number;
  readonly stack: StackConfig;
}

export async function addEncoder(writer: ProductWriter, shape: MarianConfig): Promise<void> {
  const { graph } = writer;
  const side = sideOf(writer, shape, "encoder");
  const ids = graph.input("input_ids", "i32", ["T"]);
  const positions = graph.input("positions", "i32", ["T"]);
  const places = addPlaceInputs(graph);
  const states = await addEncoderLayers(side, { ids, positions, places });
  await addCrossCaches(side, states.at(-1) ?? "", places);
}

/**
 * The encoder by itself, with the same weights: vectors of texts. Inputs and outputs are those of the program `encoder`,
 * src/models/programs/manifest-encoder.ts.
 */
export async function addEncoderEmbeddings(
  writer: ProductWriter,
  shape: MarianConfig,
): Promise<void> {
  const { graph } = writer;
  const side = sideOf(writer, shape, "encoder");
  const ids = graph.input("ids", "i32", ["T"]);
  const positions = graph.input("positions", "i32", ["T"]);
  const places = addPlaceInputs(graph);
  const states = await addEncoderLayers(side, { ids, positions, places });
  const hidden = addLayerChoice(writer, states, ids);
  const { width } = shape;
  await addEmbeddings(writer, { hidden, places, width }, { own: null, width });
}

/** The hidden states: the embeddings, and what each layer makes of the one before. */
async function addEncoderLayers(
  side: Side,
  from: { readonly ids: string; readonly positions: string; readonly places: Places },
): Promise<string[]> {
  const { shape, heads, writer } = side;
  const { places } = from;
  const encoderHeads = headsShape(writer.graph, places, headsOf(shape, heads));
  const states = [await addEmbedding(side, from)];
  for (const layer of range(shape.encoder.layers)) {
    const hidden = states.at(-1) ?? "";
    states.push(await addEncoderLayer(side, { layer, hidden, places, heads: encoderHeads }));
  }
  return states;
}

async function addEmbedding(
  side: Side,
  from: { readonly ids: string; readonly positions: string },
): Promise<string> {
  const { graph, weights, read } = side.writer;
  const { shape, prefix } = side;
  const words = side.name === "encoder" ? shape.vocabularySize : shape.decoderVocabularySize;
  let embedded = await addLookup(side.writer, embeddingTables(shape)[side.name], {
    ids: from.ids,
    shape: [words, shape.width],
    halves: side.writer.modeOf(outputProduct).kind === "int8",
  });
  if (shape.scaleEmbedding) {
    embedded = graph.node("Mul", [
      embedded,
      graph.scalar("embedding_scale", Math.sqrt(shape.width)),
    ]);
  }
  const name = `${prefix}.embed_positions.weight`;
  const stored =
    weights.find(name) ??
    (await weights.write(
      { name, type: "f32", shape: [shape.positions, shape.width] },
      await read(name),
    ));
  const place = graph.node("Gather", [graph.weight(stored), from.positions]);
  return graph.node("Add", [embedded, place]);
}

async function addEncoderLayer(
  side: Side,
  at: {
    readonly layer: number;
    readonly hidden: string;
    readonly places: Places;
    readonly heads: string;
  },
): Promise<string> {
  const { graph } = side.writer;
  const { mask, tokenPlaces } = at.places;
  const qkv = await addProduct(side.writer, attentionSpec(side, at.layer, "qkv"), at.hidden);
  const parts = graph.nodes("Split", [atPlaces(graph, qkv, at.places)], {
    attributes: { axis: -1 },
    outputs: 3,
  });
  const [query = "", key = "", value = ""] = parts;
  const flat = addAttention(graph, {
    query,
    key,
    value,
    shape: at.heads,
    width: side.shape.width,
    bias: mask,
    wanted: tokenPlaces,
  });
  const attended = await addProduct(side.writer, attentionSpec(side, at.layer, "out"), flat);
  const normed = await addNorm(side, at.hidden, {
    added: attended,
    name: `layers.${at.layer}.self_attn_layer_norm`,
  });
  return await addFeedForward(side, at.layer, normed);
}

/** Keys and values of the encoder's output for all decoder layers at once, as the decoder's slots hold them. */
async function addCrossCaches(side: Side, hidden: string, places: Places): Promise<void> {
  const { graph } = side.writer;
  const { shape } = side;
  const layers = range(shape.decoder.layers);
  const sources = layers.flatMap((layer) =>
    ["k_proj", "v_proj"].map((part) => ({
      name: `model.decoder.layers.${layer}.encoder_attn.${part}`,
    })),
  );
  const spec: ProductSpec = { name: crossProduct, sources, inputWidth: shape.width };
  const both = await addProduct(side.writer, spec, hidden);
  const parts = graph.nodes("Split", [atPlaces(graph, both, places)], {
    attributes: { axis: -1 },
    outputs: sources.length,
  });
  const size = shape.width / shape.decoder.heads;
  const heads = headsShape(graph, places, headsOf(shape, shape.decoder.heads));
  for (const layer of layers) {
    for (const [offset, kind] of ["k", "v"].entries()) {
      const part = parts[layer * 2 + offset] ?? "";
      const turned = toHeads(graph, part, { shape: heads, perm: [0, 2, 1, 3] });
      const declared = { type: "f32", shape: ["B", shape.decoder.heads, "S", size] } as const;
      graph.output(`cross_${kind}.${layer}`, turned, declared);
    }
  }
}

export async function addDecoder(writer: ProductWriter, shape: MarianConfig): Promise<void> {
  const { graph } = writer;
  const side = sideOf(writer, shape, "decoder");
  const size = shape.width / side.heads;
  const tokens = graph.input("tokens", "i32", ["R"]);
  const positions = graph.input("positions", "i32", ["R"]);
  const pastMask = graph.input("past_mask", "f32", ["R", 1, 1, "M"]);
  const crossMask = graph.input("cross_mask", "f32", ["N", 1, 1, "S"]);
  const crossShape = graph.input("cross_shape", "i64", [4]);
  const topK = graph.input("top_k", "i64", [1]);
  let hidden = await addEmbedding(side, { ids: tokens, positions });
  const added: string[] = [];
  for (const layer of range(shape.decoder.layers)) {
    const past = {
      key: graph.input(`past_k.${layer}`, "f32", ["R", side.heads, "M", size]),
      value: graph.input(`past_v.${layer}`, "f32", ["R", side.heads, "M", size]),
      mask: pastMask,
    };
    const cross = {
      key: graph.input(`cross_k.${layer}`, "f32", ["N", side.heads, "S", size]),
      value: graph.input(`cross_v.${layer}`, "f32", ["N", side.heads, "S", size]),
      mask: crossMask,
    };
    const self = await addSelfAttention(side, { layer, hidden, ...past });
    added.push(self.key, self.value);
    const crossed = await addCrossAttention(
      side,
      { layer, hidden: self.hidden, ...cross },
      crossShape,
    );
    hidden = await addFeedForward(side, layer, crossed);
  }
  await addOutputs(side, { hidden, added, topK });
}

interface AttentionInput {
  readonly layer: number;
  readonly hidden: string;
  readonly key: string;
  readonly value: string;
  readonly mask: string;
}

/** Attention over the past and the new token; the new one stands first, so that its lane never depends on M. */
async function addSelfAttention(
  side: Side,
  at: AttentionInput,
): Promise<{ hidden: string; key: string; value: string }> {
  const { graph } = side.writer;
  const size = side.shape.width / side.heads;
  const qkv = await addProduct(side.writer, attentionSpec(side, at.layer, "qkv"), at.hidden);
  const [query = "", key = "", value = ""] = graph.nodes("Split", [qkv], {
    attributes: { axis: -1 },
    outputs: 3,
  });
  const row = graph.ints("row_heads", [-1, side.heads, 1, size]);
  const queryHeads = graph.node("Reshape", [query, row]);
  const pastScore = addScores(graph, queryHeads, at.key);
  const keyHeads = graph.node("Reshape", [key, row]);
  const newScore = graph.node("ReduceSum", [
    graph.node("Mul", [queryHeads, keyHeads]),
    graph.ints("last_axis_backwards", [-1]),
  ]);
  const masked = graph.node("Add", [pastScore, at.mask]);
  const weights = graph.node(
    "Softmax",
    [graph.node("Concat", [newScore, masked], { attributes: { axis: -1 } })],
    { attributes: { axis: -1 } },
  );
  const first = graph.ints("first_index", [0]);
  const second = graph.ints("second_index", [1]);
  const end = graph.ints("end_index", [2 ** 31 - 1]);
  const last = graph.ints("last_axis", [3]);
  const newWeight = graph.node("Slice", [weights, first, second, last]);
  const pastWeight = graph.node("Slice", [weights, second, end, last]);
  const pastContext = graph.node("MatMul", [pastWeight, at.value]);
  const newContext = graph.node("Mul", [newWeight, graph.node("Reshape", [value, row])]);
  const joined = graph.node("Reshape", [
    graph.node("Add", [pastContext, newContext]),
    graph.ints("row_join", [-1, side.shape.width]),
  ]);
  const attended = await addProduct(side.writer, attentionSpec(side, at.layer, "out"), joined);
  const hidden = await addNorm(side, at.hidden, {
    added: attended,
    name: `layers.${at.layer}.self_attn_layer_norm`,
  });
  return { hidden, key, value };
}

/**
 * Queries times keys `[…, M, D]`, so that a new key is one contiguous write. The scale is in the query's weights,
 * because with a factor other than 1 the CPU kernel leaves its fast path for single rows (twice the time).
 */
function addScores(graph: GraphBuilder, queries: string, keys: string): string {
  return graph.node("FusedMatMul", [queries, keys], { attributes: { transB: 1 }, microsoft: true });
}

/** The beams of a sentence stand side by side as W queries against one copy of its keys and values. */
async function addCrossAttention(side: Side, at: AttentionInput, shape: string): Promise<string> {
  const { graph } = side.writer;
  const query = await addProduct(side.writer, attentionSpec(side, at.layer, "cross_q"), at.hidden);
  const queryHeads = graph.node("Transpose", [graph.node("Reshape", [query, shape])], {
    attributes: { perm: [0, 2, 1, 3] },
  });
  const scores = addScores(graph, queryHeads, at.key);
  const weights = graph.node("Softmax", [graph.node("Add", [scores, at.mask])], {
    attributes: { axis: -1 },
  });
  const context = graph.node("Transpose", [graph.node("MatMul", [weights, at.value])], {
    attributes: { perm: [0, 2, 1, 3] },
  });
  const joined = graph.node("Reshape", [context, graph.ints("row_join", [-1, side.shape.width])]);
  const attended = await addProduct(
    side.writer,
    attentionSpec(side, at.layer, "cross_out"),
    joined,
  );
  return await addNorm(side, at.hidden, {
    added: attended,
    name: `layers.${at.layer}.encoder_attn_layer_norm`,
  });
}

async function addOutputs(
  side: Side,
  from: { readonly hidden: string; readonly added: readonly string[]; readonly topK: string },
): Promise<void> {
  const { graph } = side.writer;
  const { shape } = side;
  const logits = await addOutputProduct(side.writer, from.hidden, {
    name: outputProduct,
    table: embeddingTables(shape).output,
    bias: "final_logits_bias",
    shape: [shape.decoderVocabularySize, shape.width],
  });
  const logProbabilities = graph.node("LogSoftmax", [logits], { attributes: { axis: -1 } });
  const [scores = "", ids = ""] = graph.nodes("TopK", [logProbabilities, from.topK], {
    attributes: { axis: -1 },
    outputs: 2,
  });
  const ids32 = graph.node("Cast", [ids], { attributes: { to: 6 } });
  graph.output("top_ids", ids32, { type: "i32", shape: ["R", "K"] });
  graph.output("top_scores", scores, { type: "f32", shape: ["R", "K"] });
  const bad = badTokens(shape.generation.badWords);
  if (bad.length > 0) {
    const ids = graph.ints("bad_tokens", bad);
    const refused = graph.node("Gather", [logProbabilities, ids], { attributes: { axis: 1 } });
    graph.output("bad_scores", refused, { type: "f32", shape: ["R", bad.length] });
  }
  const kv = graph.node("Concat", from.added, { attributes: { axis: -1 } });
  const kvWidth = shape.decoder.layers * 2 * shape.width;
  graph.output("new_kv", kv, { type: "f32", shape: ["R", kvWidth] });
}

async function addFeedForward(side: Side, layer: number, hidden: string): Promise<string> {
  const inner = await addProduct(side.writer, layerSpec(side, layer, "fc1"), hidden);
  const active = addActivation(side.writer.graph, side.shape.activation, inner);
  const outer = await addProduct(side.writer, layerSpec(side, layer, "fc2"), active);
  return await addNorm(side, hidden, { added: outer, name: `layers.${layer}.final_layer_norm` });
}

/** LayerNorm(residual + added). Two nodes: the fused SkipLayerNormalization takes four times as long on CPU. */
async function addNorm(
  side: Side,
  residual: string,
  to: { readonly added: string; readonly name: string },
): Promise<string> {
  const { graph, weights, read } = side.writer;
  const parameters: string[] = [];
  for (const part of ["weight", "bias"]) {
    const name = `${side.prefix}.${to.name}.${part}`;
    const shape = [side.shape.width];
    const stored =
      weights.find(name) ?? (await weights.write({ name, type: "f32", shape }, await read(name)));
    parameters.push(graph.weight(stored));
  }
  const sum = graph.node("Add", [to.added, residual]);
  return graph.node("LayerNormalization", [sum, ...parameters], {
    attributes: { axis: -1, epsilon: { float: layerNormEpsilon } },
  });
}

function attentionSpec(
  side: Side,
  layer: number,
  part: "qkv" | "out" | "cross_q" | "cross_out",
): ProductSpec {
  const name = `${side.name}.${layer}.${part}`;
  const base = `${side.prefix}.layers.${layer}`;
  const factor = 1 / Math.sqrt(side.shape.width / side.heads);
  const sources = {
    qkv: [
      { name: `${base}.self_attn.q_proj`, factor },
      { name: `${base}.self_attn.k_proj` },
      { name: `${base}.self_attn.v_proj` },
    ],
    out: [{ name: `${base}.self_attn.out_proj` }],
    cross_q: [{ name: `${base}.encoder_attn.q_proj`, factor }],
    cross_out: [{ name: `${base}.encoder_attn.out_proj` }],
  };
  return { name, sources: sources[part], inputWidth: side.shape.width };
}

function layerSpec(side: Side, layer: number, part: "fc1" | "fc2"): ProductSpec {
  const source = `${side.prefix}.layers.${layer}.${part}`;
  const inputWidth = part === "fc1" ? side.shape.width : side.stack.feedForward;
  return { name: `${side.name}.${layer}.${part}`, sources: [{ name: source }], inputWidth };
}

function sideOf(writer: ProductWriter, shape: MarianConfig, name: "encoder" | "decoder"): Side {
  const stack = shape[name];
  return { writer, shape, name, prefix: `model.${name}`, heads: stack.heads, stack };
}

function headsOf({ width }: MarianConfig, count: number): { count: number; size: number } {
  return { count, size: width / count };
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
