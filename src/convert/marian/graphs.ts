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
 *   tokens [R], lengths [R] (tokens in the past, which is also the position of the new one), past_k.l, past_v.l [R,H,M,D],
 *   cross_k.l, cross_v.l [N,H,S,D], top_k [1],
 *   and for attention by kernels (decoder-attention.ts): total_length [1] (the most tokens of a row after this step),
 *     cross_lengths [N], cross_shape = [N,W,H·D]
 *   or by products: past_places [R,H,3] (row, head and length: where the new token's key and value go), past_mask [R,1,1,M],
 *     cross_mask [N,1,1,1,S], query_shape = [N,W,H,1,D]
 *   →  top_ids [R,K], top_scores [R,K] (log-probabilities), bad_scores [R,tokens that can complete a bad word],
 *      present_k.l, present_v.l [R,H,M,D]
 * Ids are the model's own, of tokens and of top_ids, also where only a shortlist of them can come out.
 *
 * Who calls gives the memory of past_k.l as that of present_k.l, too: then the new token's key and value are written into
 * the past where it ends, and nothing else of it is touched or copied. What is behind a row's length is zero: products read it and
 * give it the weight 0, which changes no bit of a sum, so that no neighbour and no width can change a row.
 * D is the size of a head as caches have it (../cache-heads.ts).
 * Scores, softmax, layer norms, residuals and embeddings are float32 in every precision.
 */

import { cacheHeadSize } from "../../models/cache-head-size.js";
import { shortlistTensor } from "../../models/manifest-generation.js";
import { badTokens } from "../../work/generation.js";
import { addActivation } from "../activations.js";
import { cutHeads, padLast } from "../cache-heads.js";
import { addLookup, addOutputProduct } from "../embeddings.js";
import { addEmbeddings, addLayerChoice } from "../encoder/outputs.js";
import {
  addHeadAttention,
  addHeadPlaces,
  addHeadReturn,
  atHeadPlaces,
  type HeadPlaces,
} from "../head-places.js";
import { addPlaceInputs, type Places } from "../places.js";
import { addProduct, type ProductSpec, type ProductWriter } from "../products.js";
import type { MarianConfig, StackConfig } from "./config.js";
import {
  type AttentionWriter,
  addDecoderAttention,
  type DecoderAttention,
} from "./decoder-attention.js";
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
  const { graph } = writer;
  const encoderHeads = addHeadPlaces(graph, places, { ...headsOf(shape, heads), parts: 3 });
  const back = addHeadReturn(graph, places, { wanted: places.tokenPlaces, count: heads });
  const states = [await addEmbedding(side, from)];
  for (const layer of range(shape.encoder.layers)) {
    const hidden = states.at(-1) ?? "";
    states.push(await addEncoderLayer(side, { layer, hidden, places, heads: encoderHeads, back }));
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
    readonly heads: HeadPlaces;
    readonly back: string;
  },
): Promise<string> {
  const { graph } = side.writer;
  const { heads, back } = at;
  const qkv = await addProduct(side.writer, attentionSpec(side, at.layer, "qkv"), at.hidden);
  const flat = addHeadAttention(graph, { qkv, heads, bias: at.places.mask, back });
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
  const ofDecoder = headsOf(shape, shape.decoder.heads);
  const heads = addHeadPlaces(graph, places, { ...ofDecoder, parts: sources.length });
  for (const layer of layers) {
    for (const [offset, kind] of ["k", "v"].entries()) {
      const own = atHeadPlaces(graph, both, { part: layer * 2 + offset, heads });
      const cache = padLast(graph, own, { size: heads.size, rank: 4 });
      const size = cacheHeadSize(heads.size);
      const declared = { type: "f32", shape: ["B", heads.count, "S", size] } as const;
      graph.output(`cross_${kind}.${layer}`, cache, declared);
    }
  }
}

export interface DecoderChoices {
  readonly kind: DecoderAttention;
  /** Ids of the tokens that may be generated, ascending; null where all may. */
  readonly shortlist: Int32Array | null;
}

export async function addDecoder(
  writer: ProductWriter,
  shape: MarianConfig,
  { kind, shortlist }: DecoderChoices,
): Promise<void> {
  const { graph } = writer;
  const side = sideOf(writer, shape, "decoder");
  const heads = headsOf(shape, side.heads);
  const cacheOf = (name: string, places: readonly [string, string]) =>
    graph.input(name, "f32", [places[0], heads.count, places[1], cacheHeadSize(heads.size)]);
  const tokens = graph.input("tokens", "i32", ["R"]);
  const lengths = graph.input("lengths", "i32", ["R"]);
  const attention = addDecoderAttention(graph, kind, { heads, lengths });
  const topK = graph.input("top_k", "i64", [1]);
  // Attention wants rows of one token each.
  const rowShape = graph.ints("row_shape", [-1, 1, shape.width]);
  const embedded = await addEmbedding(side, { ids: tokens, positions: lengths });
  let hidden = graph.node("Reshape", [embedded, rowShape]);
  for (const layer of range(shape.decoder.layers)) {
    const past = {
      key: cacheOf(`past_k.${layer}`, ["R", "M"]),
      value: cacheOf(`past_v.${layer}`, ["R", "M"]),
    };
    const cross = {
      key: cacheOf(`cross_k.${layer}`, ["N", "S"]),
      value: cacheOf(`cross_v.${layer}`, ["N", "S"]),
    };
    const attended = await addSelfAttention(side, { layer, hidden, attention, ...past });
    const crossing = { layer, hidden: attended, attention, rowShape, ...cross };
    const crossed = await addCrossAttention(side, crossing);
    hidden = await addFeedForward(side, layer, crossed);
  }
  await addOutputs(side, { hidden, topK, shortlist });
}

interface AttentionInput {
  readonly layer: number;
  readonly hidden: string;
  readonly attention: AttentionWriter;
  readonly key: string;
  readonly value: string;
}

async function addSelfAttention(side: Side, at: AttentionInput): Promise<string> {
  const { graph } = side.writer;
  const { layer, key, value } = at;
  const qkv = await addProduct(side.writer, attentionSpec(side, layer, "qkv"), at.hidden);
  const context = at.attention.self({ layer, qkv, key, value });
  const own = cutHeads(graph, context, headsOf(side.shape, side.heads));
  const attended = await addProduct(side.writer, attentionSpec(side, layer, "out"), own);
  return await addNorm(side, at.hidden, {
    added: attended,
    name: `layers.${layer}.self_attn_layer_norm`,
  });
}

async function addCrossAttention(
  side: Side,
  at: AttentionInput & { /** `[R, 1, width]`. */ readonly rowShape: string },
): Promise<string> {
  const { graph } = side.writer;
  const { layer, key, value } = at;
  const query = await addProduct(side.writer, attentionSpec(side, layer, "cross_q"), at.hidden);
  const context = at.attention.cross({ layer, query, key, value });
  const heads = headsOf(side.shape, side.heads);
  const rows = graph.node("Reshape", [cutHeads(graph, context, heads), at.rowShape]);
  const attended = await addProduct(side.writer, attentionSpec(side, layer, "cross_out"), rows);
  return await addNorm(side, at.hidden, {
    added: attended,
    name: `layers.${layer}.encoder_attn_layer_norm`,
  });
}

async function addOutputs(
  side: Side,
  from: { readonly hidden: string; readonly topK: string; readonly shortlist: Int32Array | null },
): Promise<void> {
  const { graph } = side.writer;
  const { shape } = side;
  const { shortlist } = from;
  const rows = graph.node("Reshape", [from.hidden, graph.ints("flat_rows", [-1, shape.width])]);
  const logits = await addOutputProduct(side.writer, rows, {
    name: outputProduct,
    table: embeddingTables(shape).output,
    bias: "final_logits_bias",
    shape: [shape.decoderVocabularySize, shape.width],
    only: shortlist,
  });
  const logProbabilities = graph.node("LogSoftmax", [logits], { attributes: { axis: -1 } });
  const [scores = "", columns = ""] = graph.nodes("TopK", [logProbabilities, from.topK], {
    attributes: { axis: -1 },
    outputs: 2,
  });
  const ids = await addTokenIds(side.writer, columns, shortlist);
  graph.output("top_ids", ids, { type: "i32", shape: ["R", "K"] });
  graph.output("top_scores", scores, { type: "f32", shape: ["R", "K"] });
  const bad = badTokens(shape.generation.badWords);
  if (bad.length > 0) {
    const columns = shortlist === null ? bad : bad.map((id) => shortlist.indexOf(id));
    const inputs = [logProbabilities, graph.ints("bad_tokens", columns)];
    const refused = graph.node("Gather", inputs, { attributes: { axis: 1 } });
    graph.output("bad_scores", refused, { type: "f32", shape: ["R", bad.length] });
  }
}

/**
 * From columns of the scores to ids, int32: with a shortlist these differ, and nobody outside of the graph knows of columns. It
 * is ascending, so that of equal scores the lower id still comes first.
 */
async function addTokenIds(
  { graph, weights }: ProductWriter,
  columns: string,
  shortlist: Int32Array | null,
): Promise<string> {
  if (shortlist === null) return graph.node("Cast", [columns], { attributes: { to: 6 } });
  const shape = [shortlist.length];
  const stored = await weights.write({ name: shortlistTensor, type: "i32", shape }, shortlist);
  return graph.node("Gather", [graph.weight(stored), columns]);
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
