/**
 * READ FIRST. The one graph of an encoder. What goes in and comes out is said in src/models/programs/manifest-encoder.ts.
 *
 *   ids, positions ─► embeddings ─► layers ─┬─► the layer that is wanted ─► pooled, max, tokens, own    outputs.ts
 *    tables, norm      layers.ts            └─► the first token, or the mean ─► head ─► logits
 *                      positions.ts: what attention knows of positions
 *
 * Scores, softmax, layer norms, residuals and embeddings are float32 in every precision.
 */
import { addLookup } from "../embeddings.js";
import { addPlaceInputs, headsShape, type Places } from "../places.js";
import type { ProductWriter } from "../products.js";
import type { BertConfig, EncoderConfig } from "./config.js";
import { addBertLayer, addModernLayer, addNorm, type LayerInput } from "./layers.js";
import {
  addEmbeddings,
  addFirstPlaces,
  addLayerChoice,
  addLogits,
  addMean,
  outputProducts,
} from "./outputs.js";
import { addPositions } from "./positions.js";
import type { Purpose } from "./purpose.js";

/** Every weight product that may be int8, in the order in which a text meets them. */
export function encoderProducts({ layers }: EncoderConfig, purpose: Purpose): readonly string[] {
  const parts = range(layers).flatMap((layer) =>
    ["qkv", "out", "fc1", "fc2"].map((part) => `encoder.${layer}.${part}`),
  );
  return [...parts, ...outputProducts(purpose)];
}

export async function addEncoderGraph(
  writer: ProductWriter,
  config: EncoderConfig,
  purpose: Purpose,
): Promise<void> {
  const { graph } = writer;
  const { width, heads, layers } = config;
  const ids = graph.input("ids", "i32", ["T"]);
  const positionIds = graph.input("positions", "i32", ["T"]);
  const places = addPlaceInputs(graph);
  const halves = encoderProducts(config, purpose).some(
    (product) => writer.modeOf(product).kind === "int8",
  );
  let hidden =
    config.kind === "bert"
      ? await addBertEmbeddings(writer, config, { ids, positionIds, halves })
      : await addModernEmbeddings(writer, config, { ids, halves });
  const positions = await addPositions(writer, config, places);
  const shape = headsShape(graph, places, { count: heads, size: width / heads });
  const states = [hidden];
  const firstOnly = purpose.kind === "labels" && purpose.head.pooling === "cls";
  for (const layer of range(layers)) {
    // The first token is all that a head looks at, so that is all that the last layer makes of the texts.
    const only = firstOnly && layer === layers - 1 ? addFirstTokens(writer, places) : null;
    const at: LayerInput = { layer, hidden, places, heads: shape, positions, only };
    hidden =
      config.kind === "bert"
        ? await addBertLayer(writer, config, at)
        : await addModernLayer(writer, config, at);
    if (config.kind === "modern" && layer === layers - 1) {
      hidden = await addNorm(writer, config, { x: hidden, name: "final_norm" });
    }
    states.push(hidden);
  }
  if (purpose.kind === "embedding") {
    const chosen = addLayerChoice(writer, states, ids);
    await addEmbeddings(writer, { hidden: chosen, places, width }, purpose);
    return;
  }
  const vector = firstOnly ? hidden : addMean(writer, { hidden, places, width });
  await addLogits(writer, config, { vector, purpose });
}

async function addBertEmbeddings(
  writer: ProductWriter,
  config: BertConfig,
  from: { readonly ids: string; readonly positionIds: string; readonly halves: boolean },
): Promise<string> {
  const { graph, weights } = writer;
  const { names } = config.architecture;
  const { vocabulary, width, positions } = config;
  const words = await addLookup(writer, names.words, {
    ids: from.ids,
    shape: [vocabulary, width],
    halves: from.halves,
  });
  const table = await weights.write(
    { name: names.positions, type: "f32", shape: [positions, width] },
    await positionTable(writer, config),
  );
  const place = graph.node("Gather", [graph.weight(table), from.positionIds]);
  let sum = graph.node("Add", [words, place]);
  if (config.tokenTypes > 0 && names.types !== null) {
    const types = await weights.write(
      { name: names.types, type: "f32", shape: [config.typeRows, width] },
      await writer.read(names.types),
    );
    const given = graph.input("types", "i32", ["T"]);
    sum = graph.node("Add", [sum, graph.node("Gather", [graph.weight(types), given])]);
  }
  return await addNorm(writer, config, { x: sum, name: names.norm });
}

/** From the row of the first token on; with the row of the only type, where the graph is told of no types. */
async function positionTable(
  { read }: ProductWriter,
  { architecture, positionsBefore, typeRows, tokenTypes, width }: BertConfig,
): Promise<Float32Array> {
  const { names } = architecture;
  const table = (await read(names.positions)).slice(positionsBefore * width);
  if (names.types === null || typeRows === 0 || tokenTypes > 0) return table;
  const types = await read(names.types);
  return table.map((value, index) => value + (types[index % width] ?? 0));
}

async function addModernEmbeddings(
  writer: ProductWriter,
  config: Extract<EncoderConfig, { kind: "modern" }>,
  from: { readonly ids: string; readonly halves: boolean },
): Promise<string> {
  const words = await addLookup(writer, "embeddings.tok_embeddings.weight", {
    ids: from.ids,
    shape: [config.vocabulary, config.width],
    halves: from.halves,
  });
  return await addNorm(writer, config, { x: words, name: "embeddings.norm" });
}

function addFirstTokens(writer: ProductWriter, places: Places): LayerInput["only"] {
  const first = addFirstPlaces(writer, places);
  const tokens = writer.graph.node("Gather", [places.placeTokens, first], {
    attributes: { axis: 0 },
  });
  return { places: first, tokens };
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}
