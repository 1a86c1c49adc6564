/** What leaves the graph of an encoder: vectors of texts and tokens, or logits. */
import { addActivation } from "../activations.js";
import { atPlaces, type Places } from "../places.js";
import { addProduct, type ProductSpec, type ProductWriter } from "../products.js";
import type { EncoderConfig } from "./config.js";
import { addNorm } from "./layers.js";
import type { DenseStep, OwnVectors } from "./modules.js";
import type { EmbeddingPurpose, LabelPurpose } from "./purpose.js";

/**
 * The hidden state of the layer that the input `layer` names. Of each one all rows or none are cut out, and what was cut is put
 * together: the states that nobody wants cost nothing, and none of them is kept.
 */
export function addLayerChoice(
  { graph }: ProductWriter,
  states: readonly string[],
  tokens: string,
): string {
  const layer = graph.input("layer", "i64", [1]);
  const numbers = graph.ints(
    "layer_numbers",
    states.map((_, index) => index),
  );
  const wanted = graph.node("Cast", [graph.node("Equal", [numbers, layer])], {
    attributes: { to: 7 },
  });
  const count = graph.node("Shape", [tokens]);
  const counts = graph.nodes("Split", [graph.node("Mul", [wanted, count])], {
    attributes: { axis: 0 },
    outputs: states.length,
  });
  const start = graph.ints("slice_start", [0]);
  const axis = graph.ints("slice_axis", [0]);
  // ONNX Runtime goes back from a node to its inputs, first to the one that was added last: so each cut comes before the
  // next layer, and its state is let go. The other way round all states live to the end.
  const cut = states
    .map((state, index) => [state, counts[index] ?? ""] as const)
    .toReversed()
    .map(([state, wantedRows]) => graph.node("Slice", [state, start, wantedRows, axis]))
    .toReversed();
  return graph.node("Concat", cut, { attributes: { axis: 0 } });
}

/** `pooled`, `max`, `tokens`, and `own` where the folder has something behind its pooling. */
export async function addEmbeddings(
  writer: ProductWriter,
  of: Hidden,
  { own, width: ownWidth }: Pick<EmbeddingPurpose, "own" | "width">,
): Promise<void> {
  const { graph } = writer;
  const { hidden, places, width } = of;
  const pool = graph.input("pool", "f32", ["B", 1, "S"]);
  const aside = addPlaced(writer, of);
  const pooled = addWeightedSum(writer, pool, aside);
  const kept = graph.node("Add", [
    aside,
    graph.node("Reshape", [places.mask, graph.ints("columns", [0, -1, 1])]),
  ]);
  const max = graph.node("ReduceMax", [kept], { attributes: { axes: [1], keepdims: 0 } });
  graph.output("pooled", pooled, { type: "f32", shape: ["B", width] });
  graph.output("max", max, { type: "f32", shape: ["B", width] });
  graph.output("tokens", hidden, { type: "f32", shape: ["T", width] });
  if (own === null) return;
  const vector = await addOwn(writer, own, { pooled, max, places });
  graph.output("own", vector, { type: "f32", shape: ["B", ownWidth] });
}

async function addOwn(
  writer: ProductWriter,
  own: OwnVectors,
  from: { readonly pooled: string; readonly max: string; readonly places: Places },
): Promise<string> {
  const { graph } = writer;
  let vector = addStart(writer, own.start, from);
  for (const step of own.steps) {
    if (step.kind === "dense") {
      vector = addActivation(
        graph,
        step.activation,
        await addProduct(writer, denseSpec(step), vector),
      );
      continue;
    }
    // Row by row; a ReduceL2 takes another way for one text than for several.
    vector = graph.node("LpNormalization", [vector], { attributes: { axis: -1, p: 2 } });
  }
  return vector;
}

function addStart(
  writer: ProductWriter,
  start: OwnVectors["start"],
  {
    pooled,
    max,
    places,
  }: { readonly pooled: string; readonly max: string; readonly places: Places },
): string {
  const { graph } = writer;
  switch (start) {
    case "pooled":
      return pooled;
    case "max":
      return max;
    case "max-mean":
      return graph.node("Concat", [max, pooled], { attributes: { axis: 1 } });
    case "mean-max":
      return graph.node("Concat", [pooled, max], { attributes: { axis: 1 } });
    case "mean-sqrt": {
      const { lengths } = addPresence(writer, places);
      return graph.node("Mul", [pooled, graph.node("Sqrt", [lengths])]);
    }
  }
}

function denseSpec({ name, inputs, bias }: DenseStep): ProductSpec {
  return {
    name,
    sources: [{ name }],
    inputWidth: inputs,
    rows: "texts",
    ...(bias ? {} : { bias: "none" }),
  };
}

/** Weight products of the outputs, in their order. */
export function outputProducts(purpose: EmbeddingPurpose | LabelPurpose): readonly string[] {
  if (purpose.kind === "labels") return [headProduct];
  return (purpose.own?.steps ?? []).flatMap((step) => (step.kind === "dense" ? [step.name] : []));
}

const headProduct = "head";

/**
 * `logits`, of each text's own vector. The last product stays float32 in every precision: it costs next to nothing, and nothing
 * behind it evens out what is rounded away.
 */
export async function addLogits(
  writer: ProductWriter,
  config: EncoderConfig,
  { vector, purpose }: { readonly vector: string; readonly purpose: LabelPurpose },
): Promise<void> {
  const { graph } = writer;
  const { head, labels } = purpose;
  const { width } = config;
  const dense = await addProduct(
    writer,
    {
      name: headProduct,
      sources: [{ name: head.dense }],
      inputWidth: width,
      rows: "texts",
      ...(head.denseBias ? {} : { bias: "none" }),
    },
    vector,
  );
  const active = addActivation(graph, head.activation, dense);
  const normed =
    head.norm === null ? active : await addNorm(writer, config, { x: active, name: head.norm });
  const logits = await addProduct(
    { ...writer, modeOf: () => ({ kind: "f32" }) },
    { name: "logits", sources: [{ name: head.out }], inputWidth: width, rows: "texts" },
    normed,
  );
  graph.output("logits", logits, { type: "f32", shape: ["B", labels.length] });
}

/** The mean of each text's own tokens. */
export function addMean(writer: ProductWriter, of: Hidden): string {
  const { presence, lengths } = addPresence(writer, of.places);
  const sum = addWeightedSum(writer, presence, addPlaced(writer, of));
  return writer.graph.node("Div", [sum, lengths]);
}

/**
 * `[B,1,S]` times `[B,S,width]`. Not a ReduceSum, which takes another way for one text than for several: a product of one row is
 * the same for each text, and the zeros of padded places change none of its sums.
 */
function addWeightedSum({ graph }: ProductWriter, weights: string, aside: string): string {
  const product = graph.node("MatMul", [weights, aside]);
  return graph.node("Squeeze", [product, graph.ints("row_axis", [1])]);
}

/** The places of each text's first token among `[B·S]`. */
export function addFirstPlaces({ graph }: ProductWriter, { sentenceShape }: Places): string {
  const zero = graph.constant("zero", "i64", { shape: [], data: BigInt64Array.of(0n) });
  const one = graph.constant("one", "i64", { shape: [], data: BigInt64Array.of(1n) });
  const pick = (index: string) =>
    graph.node("Gather", [sentenceShape, index], { attributes: { axis: 0 } });
  return graph.node("Mul", [graph.node("Range", [zero, pick(zero), one]), pick(one)]);
}

interface Hidden {
  /** `[T, width]`. */
  readonly hidden: string;
  readonly places: Places;
  readonly width: number;
}

/** `[B, S, width]`. */
function addPlaced({ graph }: ProductWriter, { hidden, places, width }: Hidden): string {
  const rest = graph.ints("row_width", [width]);
  const shape = graph.node("Concat", [places.sentenceShape, rest], { attributes: { axis: 0 } });
  return graph.node("Reshape", [atPlaces(graph, hidden, places), shape]);
}

/** 1 where a token stands, else 0, `[B,1,S]`; and how many there are, `[B,1]`. */
function addPresence({ graph }: ProductWriter, { mask }: Places) {
  const row = graph.node("Reshape", [mask, graph.ints("rows", [0, 1, -1])]);
  const present = graph.node("Equal", [row, graph.scalar("kept", 0)]);
  const presence = graph.node("Cast", [present], { attributes: { to: 1 } });
  const axis = graph.ints("place_axis", [2]);
  const lengths = graph.node("ReduceSum", [presence, axis], { attributes: { keepdims: 0 } });
  return { presence, lengths };
}
