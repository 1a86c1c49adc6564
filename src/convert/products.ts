/**
 * A product is one multiplication by weights: y = x·W + b. This file is the only one that knows in how many ways
 * a product can be written into a graph: as float32, as static int8, or as float32 whose input is watched.
 */
import type { GraphBuilder } from "./onnx/graph-builder.js";
import { quantizeWeights } from "./quantize.js";
import type { StoredTensor, WeightsFile } from "./weights-file.js";

export interface ProductSpec {
  /** For example `encoder.0.fc1`: the key of `layerPrecision` in millrace.json. */
  readonly name: string;
  /** Linear layers (`name.weight` `[out, in]`, `name.bias` `[out]`) that stand side by side along `out`. */
  readonly sources: readonly LinearSource[];
  readonly inputWidth: number;
  /** Default: all sources have one. */
  readonly bias?: "none";
  /** One row of the product a token, or one a text; default: tokens. */
  readonly rows?: "tokens" | "texts";
}

export interface LinearSource {
  readonly name: string;
  /** Multiplies weights and bias: how the scale of attention scores gets into the query. Default: 1. */
  readonly factor?: number;
  /** The linear layer is one of several equal ones, side by side along `out` in one tensor. */
  readonly part?: { readonly index: number; readonly of: number };
}

/** Constant quantisation of an activation: real = scale × (stored − zeroPoint), stored in 0..255. */
export interface ActivationScale {
  readonly scale: number;
  readonly zeroPoint: number;
}

export type ProductMode =
  | { readonly kind: "f32" }
  | { readonly kind: "int8"; readonly activation: ActivationScale }
  /** float32, and the input becomes an output of the graph named `watch:<product>`. */
  | { readonly kind: "watched" };

/** Reads a source tensor whole, as float32, in row-major order. */
export type ReadTensor = (name: string) => Promise<Float32Array>;

export interface ProductWriter {
  readonly graph: GraphBuilder;
  readonly weights: WeightsFile;
  readonly read: ReadTensor;
  readonly modeOf: (product: string) => ProductMode;
}

/** Adds the product to the graph; `x` may have any rank, its last dimension is `inputWidth`. */
export async function addProduct(
  writer: ProductWriter,
  spec: ProductSpec,
  x: string,
): Promise<string> {
  const mode = writer.modeOf(spec.name);
  switch (mode.kind) {
    case "f32":
      return await addFloatProduct(writer, spec, x);
    case "watched":
      addWatch(writer.graph, spec, x);
      return await addFloatProduct(writer, spec, x);
    case "int8":
      return addInt8Product(writer.graph, await storeInt8(writer, spec), {
        name: spec.name,
        x,
        activation: mode.activation,
      });
  }
}

/** Makes a product's input an output of the graph, `watch:<product>` `[rows, inputWidth]`. */
export function addWatch(
  graph: GraphBuilder,
  { name, inputWidth }: Pick<ProductSpec, "name" | "inputWidth">,
  x: string,
): void {
  const rows = graph.node("Reshape", [x, graph.ints(`${name}.watch`, [-1, inputWidth])]);
  graph.output(`watch:${name}`, rows, { type: "f32", shape: [`${name}.rows`, inputWidth] });
}

async function addFloatProduct(
  writer: ProductWriter,
  spec: ProductSpec,
  x: string,
): Promise<string> {
  const { graph } = writer;
  const weight = graph.weight(await storeFloat(writer, spec));
  const product =
    spec.rows === "texts" ? addAlone(graph, x, weight) : graph.node("MatMul", [x, weight]);
  const bias = await storeBias(writer, spec);
  return bias === "" ? product : graph.node("Add", [product, bias]);
}

/**
 * `[out, in]` times each row by itself, as a column: a batch of one row is another kernel than one of several, with sums in
 * another order, and a text's results must not depend on how many texts there are. Too slow for tokens, which are never
 * alone.
 */
function addAlone(graph: GraphBuilder, x: string, weight: string): string {
  const axis = graph.ints("alone_axis", [2]);
  const columns = graph.node("MatMul", [weight, graph.node("Unsqueeze", [x, axis])]);
  return graph.node("Squeeze", [columns, axis]);
}

async function storeFloat(writer: ProductWriter, spec: ProductSpec): Promise<StoredTensor> {
  const name = `${spec.name}.weight`;
  const found = writer.weights.find(name);
  if (found !== undefined) return found;
  const rows = await readRows(writer, spec);
  const outputWidth = rows.length / spec.inputWidth;
  if (spec.rows === "texts") {
    const shape = [outputWidth, spec.inputWidth];
    return await writer.weights.write({ name, type: "f32", shape }, rows);
  }
  const shape = [spec.inputWidth, outputWidth];
  return await writer.weights.write({ name, type: "f32", shape }, transpose(rows, spec.inputWidth));
}

export interface Int8Weights {
  readonly weight: StoredTensor;
  readonly scales: StoredTensor;
  readonly bias: string;
}

async function storeInt8(writer: ProductWriter, spec: ProductSpec): Promise<Int8Weights> {
  const rows = await readRows(writer, spec);
  const quantized = quantizeWeights(rows, spec.inputWidth);
  const outputWidth = quantized.scales.length;
  const weight = await writer.weights.write(
    { name: `${spec.name}.weight`, type: "i8", shape: [spec.inputWidth, outputWidth] },
    transpose(quantized.values, spec.inputWidth),
  );
  const scales = await writer.weights.write(
    { name: `${spec.name}.scales`, type: "f32", shape: [outputWidth] },
    quantized.scales,
  );
  return { weight, scales, bias: await storeBias(writer, spec) };
}

/** QuantizeLinear with constants, then exact integer sums: a row's result cannot depend on its neighbours. */
export function addInt8Product(
  graph: GraphBuilder,
  stored: Int8Weights,
  input: { readonly name: string; readonly x: string; readonly activation: ActivationScale },
): string {
  const { name, x, activation } = input;
  const scale = graph.scalar(`${name}.activation_scale`, activation.scale);
  const zeroPoint = graph.constant(`${name}.activation_zero`, "u8", {
    shape: [],
    data: Uint8Array.of(activation.zeroPoint),
  });
  const quantized = graph.node("QuantizeLinear", [x, scale, zeroPoint]);
  return graph.node(
    "MatMulIntegerToFloat",
    [
      quantized,
      graph.weight(stored.weight),
      scale,
      graph.weight(stored.scales),
      zeroPoint,
      "",
      stored.bias,
    ],
    { microsoft: true },
  );
}

async function readRows(writer: ProductWriter, spec: ProductSpec): Promise<Float32Array> {
  return await readSources(writer, spec.sources, "weight");
}

/** Empty where there is none: so ONNX names an input that is left out. */
async function storeBias(writer: ProductWriter, spec: ProductSpec): Promise<string> {
  if (spec.bias === "none") return "";
  const name = `${spec.name}.bias`;
  const found = writer.weights.find(name);
  if (found !== undefined) return writer.graph.weight(found);
  const data = await readSources(writer, spec.sources, "bias");
  const shape = [data.length];
  return writer.graph.weight(await writer.weights.write({ name, type: "f32", shape }, data));
}

async function readSources(
  writer: ProductWriter,
  sources: readonly LinearSource[],
  part: "weight" | "bias",
): Promise<Float32Array> {
  const parts: Float32Array[] = [];
  for (const { name, factor = 1, part: cut } of sources) {
    const whole = await writer.read(`${name}.${part}`);
    const length = whole.length / (cut?.of ?? 1);
    const values = whole.subarray(length * (cut?.index ?? 0), length * ((cut?.index ?? 0) + 1));
    parts.push(factor === 1 ? values : values.map((value) => value * factor));
  }
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  const whole = new Float32Array(parts.reduce((sum, values) => sum + values.length, 0));
  let offset = 0;
  for (const values of parts) {
    whole.set(values, offset);
    offset += values.length;
  }
  return whole;
}

/** `[rows, columns]` to `[columns, rows]`, in square tiles, because a strided write of a large matrix misses the cache. */
export function transpose<T extends Float32Array | Int8Array>(values: T, columns: number): T {
  const rows = values.length / columns;
  const turned = values.slice() as T;
  const tile = 32;
  for (let top = 0; top < rows; top += tile) {
    for (let left = 0; left < columns; left += tile) {
      const bottom = Math.min(top + tile, rows);
      const right = Math.min(left + tile, columns);
      for (let row = top; row < bottom; row += 1) {
        for (let column = left; column < right; column += 1) {
          turned[column * rows + row] = values[row * columns + column] ?? 0;
        }
      }
    }
  }
  return turned;
}
