/**
 * What attention knows of positions, made inside the graph from tables and the width of the batch: how far apart two tokens
 * are, which is seen by MPNet's scores and by ModernBERT's windows, and how far each is from the start, by which
 * ModernBERT rotates.
 */
import type { GraphBuilder } from "../onnx/graph-builder.js";
import type { Places } from "../places.js";
import type { ProductWriter } from "../products.js";
import type { BertConfig, EncoderConfig, ModernConfig } from "./config.js";

/** Sentences side by side are padded to a multiple of this, and may be wider than the longest that the model takes. */
const padStep = 16;

export interface Positions {
  /** What is added to scores, of attention to the whole sentence and to a window of it. */
  readonly globalBias: string;
  readonly localBias: string;
  /** Cosines and sines `[positions, size/2]`; none where nothing is rotated. */
  readonly globalRotation: readonly string[];
  readonly localRotation: readonly string[];
}

export async function addPositions(
  writer: ProductWriter,
  config: EncoderConfig,
  places: Places,
): Promise<Positions> {
  const { mask } = places;
  if (config.kind === "modern") {
    return {
      globalBias: mask,
      localBias: config.global.every((each) => each)
        ? mask
        : addWindow(writer.graph, config, places),
      globalRotation: await addRotations(writer, config, "global"),
      localRotation: await addRotations(writer, config, "local"),
    };
  }
  const bias = config.relativeBuckets === 0 ? mask : await addRelative(writer, config, places);
  return { globalBias: bias, localBias: bias, globalRotation: [], localRotation: [] };
}

/** `[S, S]`: key − query, as int64. */
function addDistances(graph: GraphBuilder, { sentenceShape }: Places): string {
  const zero = graph.constant("zero", "i64", { shape: [], data: BigInt64Array.of(0n) });
  const one = graph.constant("one", "i64", { shape: [], data: BigInt64Array.of(1n) });
  const width = graph.node("Gather", [sentenceShape, one], { attributes: { axis: 0 } });
  const keys = graph.node("Range", [zero, width, one]);
  const queries = graph.node("Unsqueeze", [keys, graph.ints("column_axis", [1])]);
  return graph.node("Sub", [keys, queries]);
}

/** The mask, and more where key and query are further apart than a window reaches: `[B, 1, S, S]`. */
function addWindow(graph: GraphBuilder, { reach }: ModernConfig, places: Places): string {
  const apart = graph.node("Abs", [addDistances(graph, places)]);
  const far = graph.node("Greater", [
    apart,
    graph.constant("reach", "i64", { shape: [], data: BigInt64Array.of(BigInt(reach)) }),
  ]);
  const drop = graph.node("Where", [far, graph.scalar("dropped", -1e9), graph.scalar("kept", 0)]);
  return graph.node("Add", [places.mask, drop]);
}

/** The mask and what each head adds for each distance: `[B, heads, S, S]`. */
async function addRelative(
  writer: ProductWriter,
  config: BertConfig,
  places: Places,
): Promise<string> {
  const { graph, weights, read } = writer;
  const { heads, relativeBuckets: buckets } = config;
  const name = config.architecture.names.relative ?? "";
  const table = await read(name);
  const farthest = paddedPositions(config.positions) - 1;
  const rows = new Float32Array((2 * farthest + 1) * heads);
  for (let distance = -farthest; distance <= farthest; distance += 1) {
    const bucket = relativeBucket(distance, buckets);
    rows.set(table.subarray(bucket * heads, (bucket + 1) * heads), (distance + farthest) * heads);
  }
  const stored = await weights.write(
    { name: `${name}.by_distance`, type: "f32", shape: [2 * farthest + 1, heads] },
    rows,
  );
  const offset = graph.constant("farthest", "i64", {
    shape: [],
    data: BigInt64Array.of(BigInt(farthest)),
  });
  const index = graph.node("Add", [addDistances(graph, places), offset]);
  const found = graph.node("Gather", [graph.weight(stored), index], { attributes: { axis: 0 } });
  const turned = graph.node("Transpose", [found], { attributes: { perm: [2, 0, 1] } });
  const byHead = graph.node("Unsqueeze", [turned, graph.ints("batch_axis", [0])]);
  return graph.node("Add", [byHead, places.mask]);
}

const distanceMax = 128;

/**
 * T5's and MPNet's buckets of key − query: half for each direction; near ones one each, far ones by their logarithm, which
 * transformers takes in float32, so that a distance on an edge falls on the same side here.
 */
function relativeBucket(distance: number, buckets: number): number {
  const half = Math.floor(buckets / 2);
  const side = distance > 0 ? half : 0;
  const apart = Math.abs(distance);
  const exact = Math.floor(half / 2);
  if (apart < exact) return side + apart;
  const { fround } = Math;
  const logarithm = fround(Math.log(fround(apart / exact)));
  const part = fround(logarithm / fround(Math.log(distanceMax / exact)));
  return side + Math.min(half - 1, exact + Math.trunc(fround(part * (half - exact))));
}

async function addRotations(
  { graph, weights }: ProductWriter,
  config: ModernConfig,
  kind: "global" | "local",
): Promise<readonly string[]> {
  const { width, heads, positions } = config;
  const theta = kind === "global" ? config.thetaGlobal : config.thetaLocal;
  const tables = rotationTables({ size: width / heads, rows: paddedPositions(positions), theta });
  const names: string[] = [];
  for (const part of ["cos", "sin"] as const) {
    const shape = [paddedPositions(positions), width / heads / 2];
    const name = `rotation.${kind}.${part}`;
    names.push(graph.weight(await weights.write({ name, type: "f32", shape }, tables[part])));
  }
  return names;
}

function paddedPositions(positions: number): number {
  return Math.ceil(positions / padStep) * padStep;
}

function rotationTables(of: {
  readonly size: number;
  readonly rows: number;
  readonly theta: number;
}): { readonly cos: Float32Array; readonly sin: Float32Array } {
  const half = of.size / 2;
  const cos = new Float32Array(of.rows * half);
  const sin = new Float32Array(of.rows * half);
  for (let row = 0; row < of.rows; row += 1) {
    for (let column = 0; column < half; column += 1) {
      // As float32, step by step: the angle of a far place is that much coarser, and so it was learned.
      const frequency = Math.fround(1 / Math.fround(of.theta ** ((2 * column) / of.size)));
      const angle = Math.fround(row * frequency);
      cos[row * half + column] = Math.cos(angle);
      sin[row * half + column] = Math.sin(angle);
    }
  }
  return { cos, sin };
}
