/**
 * Of a graph that Millrace wrote, its products by weights and nothing else: the same shapes, weights and order, by the same kernels.
 * What they take is the floor of what the whole graph can take.
 *
 *   x.512 [rows, 512] ─ QuantizeLinear ─┬─ MatMulIntegerToFloat ─ Slice ─┐
 *                                       ├─ MatMulIntegerToFloat ─ Slice ─┼─ Concat ─► kept [1, products]
 *   x.2048 [rows, 2048]  ─ …            ┴─ …                            ─┘
 *
 * One quantisation for each width, and one number kept of each result, so that nothing is thrown away; what those alone take is measured
 * by the same graph without the products.
 */
import { mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import {
  type AttributeMessage,
  attributeType,
  elementType,
  encodeModel,
  type ModelMessage,
  type NodeMessage,
  type TensorMessage,
  type ValueMessage,
} from "#src/convert/onnx/schema.js";
import { decodeModel } from "../../test/support/onnx.js";

export interface Product {
  readonly node: NodeMessage;
  readonly inputWidth: number;
  readonly outputWidth: number;
  readonly weightBytes: number;
}

export interface ReadGraph {
  readonly model: ModelMessage;
  readonly products: readonly Product[];
}

/** Throws where the graph has no product: then it is none of Millrace's, or this file is behind. */
export async function readProducts(path: string): Promise<ReadGraph> {
  const model = decodeModel(await readFile(path));
  const constants = new Map(model.graph.initializer.map((tensor) => [tensor.name, tensor]));
  const products = model.graph.node.flatMap((node) => productOf(node, constants));
  if (products.length === 0) throw new Error(`${path} has no products by weights`);
  return { model, products };
}

const kinds = new Set(["MatMulIntegerToFloat", "MatMul", "Gemm"]);
const { f32: float32, u8: uint8, i8: int8 } = elementType;

function productOf(node: NodeMessage, constants: ReadonlyMap<string, TensorMessage>): Product[] {
  const weight = constants.get(node.input[1] ?? "");
  // The products of attention have no weights.
  if (!kinds.has(node.opType) || weight === undefined) return [];
  const [rows = 0, columns = 0] = weight.dims;
  const isTurned = node.attribute.some(({ name, i }) => name === "transB" && i === 1);
  const [inputWidth, outputWidth] = isTurned ? [columns, rows] : [rows, columns];
  const weightBytes = rows * columns * (weight.dataType === int8 ? 1 : 4);
  return [{ node, inputWidth, outputWidth, weightBytes }];
}

/** `products`: the graph described above; `feeding`: the same without its products. */
export type FloorPart = "products" | "feeding";

/**
 * Writes the graph into a folder of its own, with a link to the weights beside it; gives its path. Its inputs are `x.<width>`
 * `[rows, width]` of `inputWidthsOf`.
 */
export async function writeProductGraph(
  read: ReadGraph,
  part: FloorPart,
  to: { readonly dir: string; readonly modelDir: string; readonly weights: string },
): Promise<string> {
  await mkdir(to.dir, { recursive: true });
  await symlink(resolve(to.modelDir, to.weights), join(to.dir, basename(to.weights)));
  const path = join(to.dir, `${part}.onnx`);
  await writeFile(path, encodeModel(part === "products" ? onlyProducts(read) : onlyFeeding(read)));
  return path;
}

export function inputWidthsOf({ products }: ReadGraph): readonly number[] {
  return [...new Set(products.map(({ inputWidth }) => inputWidth))];
}

function onlyProducts(read: ReadGraph): ModelMessage {
  const nodes = read.products.flatMap(({ node, inputWidth }, place) => {
    const fed = isInt8(node) ? quantizedName(inputWidth) : inputName(inputWidth);
    const result = `product.${place}`;
    return [
      {
        ...node,
        input: [fed, ...node.input.slice(1)],
        output: [result],
        attribute: node.attribute.map(ownField),
      },
      sliceOf(place, result),
    ];
  });
  return graphOf(read, [...quantizers(read), ...nodes, joined(read)]);
}

/** As it was read, an attribute has the defaults of all fields, and ONNX Runtime takes none with more than its own. */
function ownField({ name, type, f = 0, i = 0, ints = [] }: AttributeMessage): AttributeMessage {
  if (type === attributeType.float) return { name, type, f };
  return type === attributeType.int ? { name, type, i } : { name, type, ints };
}

function onlyFeeding(read: ReadGraph): ModelMessage {
  const nodes = read.products.map(({ inputWidth }, place) => sliceOf(place, inputName(inputWidth)));
  // What is quantised is kept as well, or it would not be computed.
  const kept = [...int8Widths(read).keys()].map((width) => ({
    name: quantizedName(width),
    type: typeOf(uint8, ["rows", width]),
  }));
  const model = graphOf(read, [...quantizers(read), ...nodes, joined(read)]);
  model.graph.output.push(...kept);
  return model;
}

function graphOf(read: ReadGraph, node: NodeMessage[]): ModelMessage {
  const used = new Set(node.flatMap(({ input }) => input));
  const constants = read.model.graph.initializer.filter(({ name }) => used.has(name));
  return {
    ...read.model,
    graph: {
      name: "floor",
      node,
      initializer: [...constants, ...sliceBounds],
      input: inputWidthsOf(read).map((width) => ({
        name: inputName(width),
        type: typeOf(float32, ["rows", width]),
      })),
      output: [{ name: "kept", type: typeOf(float32, [1, read.products.length]) }],
    },
  };
}

/** A product of each width: its scale and zero serve all, for which they are takes no time. */
function int8Widths({ products }: ReadGraph): ReadonlyMap<number, Product> {
  return new Map(
    products.filter(({ node }) => isInt8(node)).map((product) => [product.inputWidth, product]),
  );
}

function quantizers(read: ReadGraph): NodeMessage[] {
  return [...int8Widths(read)].map(([width, { node }]) =>
    nodeOf("QuantizeLinear", {
      input: [inputName(width), node.input[2] ?? "", node.input[4] ?? ""],
      output: quantizedName(width),
    }),
  );
}

function isInt8({ opType }: NodeMessage): boolean {
  return opType === "MatMulIntegerToFloat";
}

const sliceBounds = (
  [
    ["slice.from", [0, 0]],
    ["slice.to", [1, 1]],
  ] as const
).map(([name, values]) => ({
  name,
  dims: [2],
  dataType: 7,
  rawData: new Uint8Array(BigInt64Array.from(values, BigInt).buffer),
}));

function sliceOf(place: number, from: string): NodeMessage {
  return nodeOf("Slice", { input: [from, "slice.from", "slice.to"], output: `kept.${place}` });
}

function joined({ products }: ReadGraph): NodeMessage {
  const input = products.map((_, place) => `kept.${place}`);
  const node = nodeOf("Concat", { input, output: "kept" });
  return { ...node, attribute: [{ name: "axis", i: 1, type: attributeType.int }] };
}

function nodeOf(
  opType: string,
  { input, output }: { readonly input: string[]; readonly output: string },
): NodeMessage {
  return {
    opType,
    input,
    output: [output],
    name: `${opType}:${output}`,
    attribute: [],
    domain: "",
  };
}

export function inputName(width: number): string {
  return `x.${width}`;
}

function quantizedName(width: number): string {
  return `x.${width}.quantized`;
}

function typeOf(elemType: number, shape: readonly (number | string)[]): ValueMessage["type"] {
  const dim = shape.map((size) =>
    typeof size === "number" ? { dimValue: size } : { dimParam: size },
  );
  return { tensorType: { elemType, shape: { dim } } };
}
