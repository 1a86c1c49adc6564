/**
 * The encoder as people export it: `model.onnx` of token ids, mask and types → `last_hidden_state`, a tensor of texts × places in
 * which short texts are padded. The weights are those of the folder that Millrace's own graph is made of.
 *
 * In int8 it is what ONNX Runtime's dynamic quantisation makes of it: weights by one scale a matrix, activations measured at each run.
 */
import { open } from "node:fs/promises";
import { join } from "node:path";
import { GraphBuilder } from "#src/convert/onnx/graph-builder.js";
import { type ElementType, elementType } from "#src/convert/onnx/schema.js";
import { SafetensorsFile } from "#src/convert/reading/safetensors.js";
import type { EncoderShape } from "../../tasks/shapes.js";

export type PlainPrecision = "f32" | "int8";

interface Initializer {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly make: () => Promise<Float32Array | Int8Array>;
}

const positions = 512;
const epsilon = 1e-12;

export async function writePlainGraph(
  path: string,
  from: {
    readonly sourceDir: string;
    readonly shape: EncoderShape;
    readonly precision: PlainPrecision;
  },
): Promise<void> {
  await using weights = await SafetensorsFile.open(join(from.sourceDir, "model.safetensors"));
  const writer = new PlainGraph(weights, from.precision);
  await writer.encoder(from.shape);
  await writer.write(path);
}

class PlainGraph {
  readonly #graph = new GraphBuilder("main_graph");
  readonly #weights: SafetensorsFile;
  readonly #precision: PlainPrecision;
  readonly #initializers: Initializer[] = [];

  constructor(weights: SafetensorsFile, precision: PlainPrecision) {
    this.#weights = weights;
    this.#precision = precision;
  }

  async encoder({ width, layers, heads, vocabulary }: EncoderShape): Promise<void> {
    const graph = this.#graph;
    const [ids, mask, types] = ["input_ids", "attention_mask", "token_type_ids"].map((name) =>
      graph.input(name, "i64", ["batch_size", "sequence_length"]),
    );
    if (ids === undefined || mask === undefined || types === undefined) throw new Error("no input");
    let hidden = await this.#embeddings({ ids, types }, { width, vocabulary });
    const bias = this.#maskBias(mask);
    for (let layer = 0; layer < layers; layer += 1) {
      hidden = await this.#layer(`encoder.layer.${layer}`, { hidden, bias, width, heads });
    }
    const shape = ["batch_size", "sequence_length", width];
    graph.output("last_hidden_state", hidden, { type: "f32", shape });
  }

  async #embeddings(
    { ids, types }: { readonly ids: string; readonly types: string },
    { width, vocabulary }: { readonly width: number; readonly vocabulary: number },
  ): Promise<string> {
    const graph = this.#graph;
    const words = await this.#lookup("embeddings.word_embeddings.weight", ids, [vocabulary, width]);
    const kinds = await this.#lookup("embeddings.token_type_embeddings.weight", types, [2, width]);
    const length = graph.node("Gather", [graph.node("Shape", [ids]), graph.ints("one", [1])]);
    const all = BigInt64Array.from({ length: positions }, (_, at) => BigInt(at));
    const table = graph.constant("position_ids", "i64", { shape: [1, positions], data: all });
    const places = graph.node("Slice", [
      table,
      graph.ints("zero", [0]),
      length,
      graph.ints("one", [1]),
    ]);
    const name = "embeddings.position_embeddings.weight";
    const place = await this.#lookup(name, places, [positions, width]);
    const sum = graph.node("Add", [graph.node("Add", [words, kinds]), place]);
    return this.#norm("embeddings.LayerNorm", sum, width);
  }

  /** `[texts, 1, 1, places]`: nothing where there is a token, and very little where there is padding. */
  #maskBias(mask: string): string {
    const graph = this.#graph;
    const wide = graph.node("Unsqueeze", [mask, graph.ints("mask_axes", [1, 2])]);
    const float = graph.node("Cast", [wide], { attributes: { to: elementType.f32 } });
    const padding = graph.node("Sub", [graph.scalar("unit", 1), float]);
    return graph.node("Mul", [padding, graph.scalar("least", -3.4028234663852886e38)]);
  }

  async #layer(
    name: string,
    at: {
      readonly hidden: string;
      readonly bias: string;
      readonly width: number;
      readonly heads: number;
    },
  ): Promise<string> {
    const graph = this.#graph;
    const { hidden, bias, width, heads } = at;
    const input = this.#quantized(hidden);
    const product = (part: string): Promise<string> =>
      this.#product(`${name}.attention.self.${part}`, input);
    const apart = graph.ints("heads", [0, 0, heads, width / heads]);
    const turned = (x: string, perm: readonly number[]): string =>
      graph.node("Transpose", [graph.node("Reshape", [x, apart])], { attributes: { perm } });
    const query = turned(await product("query"), [0, 2, 1, 3]);
    const key = turned(await product("key"), [0, 2, 3, 1]);
    const value = turned(await product("value"), [0, 2, 1, 3]);
    const scale = graph.scalar("scale", Math.sqrt(width / heads));
    const scores = graph.node("Div", [graph.node("MatMul", [query, key]), scale]);
    const shares = graph.node("Softmax", [graph.node("Add", [scores, bias])], {
      attributes: { axis: -1 },
    });
    const mixed = graph.node("Transpose", [graph.node("MatMul", [shares, value])], {
      attributes: { perm: [0, 2, 1, 3] },
    });
    const context = graph.node("Reshape", [mixed, graph.ints("together", [0, 0, width])]);
    const attended = await this.#product(
      `${name}.attention.output.dense`,
      this.#quantized(context),
    );
    const sum = graph.node("Add", [attended, hidden]);
    const normed = this.#norm(`${name}.attention.output.LayerNorm`, sum, width);
    const inner = await this.#product(`${name}.intermediate.dense`, this.#quantized(normed));
    const outer = await this.#product(`${name}.output.dense`, this.#quantized(this.#gelu(inner)));
    return this.#norm(`${name}.output.LayerNorm`, graph.node("Add", [outer, normed]), width);
  }

  #gelu(x: string): string {
    const graph = this.#graph;
    const erf = graph.node("Erf", [graph.node("Div", [x, graph.scalar("root", Math.SQRT2)])]);
    const one = graph.node("Add", [erf, graph.scalar("unit", 1)]);
    return graph.node("Mul", [graph.node("Mul", [x, one]), graph.scalar("half", 0.5)]);
  }

  #norm(name: string, x: string, width: number): string {
    const [scale, bias] = ["weight", "bias"].map((part) =>
      this.#initializer({
        name: `${name}.${part}`,
        type: "f32",
        shape: [width],
        make: () => this.#weights.read(`${name}.${part}`),
      }),
    );
    return this.#graph.node("LayerNormalization", [x, scale ?? "", bias ?? ""], {
      attributes: { axis: -1, epsilon: { float: epsilon } },
    });
  }

  async #lookup(name: string, ids: string, shape: readonly number[]): Promise<string> {
    const graph = this.#graph;
    if (this.#precision === "f32") {
      const make = (): Promise<Float32Array> => this.#weights.read(name);
      return graph.node("Gather", [this.#initializer({ name, type: "f32", shape, make }), ids]);
    }
    const { scale, values } = quantize(await this.#weights.read(name));
    const table = this.#initializer({
      name: `${name}_quantized`,
      type: "i8",
      shape,
      make: () => Promise.resolve(values),
    });
    const rows = graph.node("Gather", [table, ids]);
    return graph.node("DequantizeLinear", [rows, graph.scalar(`${name}_scale`, scale)]);
  }

  /** What products of int8 take: numbers, their scale and their zero. */
  #quantized(x: string): readonly [string, string, string] {
    if (this.#precision === "f32") return [x, "", ""];
    const [values = "", scale = "", zero = ""] = this.#graph.nodes("DynamicQuantizeLinear", [x], {
      outputs: 3,
    });
    return [values, scale, zero];
  }

  async #product(
    name: string,
    [x, scale, zero]: readonly [string, string, string],
  ): Promise<string> {
    const graph = this.#graph;
    const { shape } = this.#weights.tensors.get(`${name}.weight`) ?? {};
    const [outputs = 0, inputs = 0] = shape ?? [];
    const bias = this.#initializer({
      name: `${name}.bias`,
      type: "f32",
      shape: [outputs],
      make: () => this.#weights.read(`${name}.bias`),
    });
    const make = async (): Promise<Float32Array> =>
      transposed(await this.#weights.read(`${name}.weight`), outputs, inputs);
    const matrix = { name: `${name}.MatMul`, shape: [inputs, outputs] };
    if (this.#precision === "f32") {
      const weight = this.#initializer({ ...matrix, type: "f32", make });
      return graph.node("Add", [graph.node("MatMul", [x, weight]), bias]);
    }
    const made = quantize(await make());
    const weight = this.#initializer({
      ...matrix,
      type: "i8",
      make: () => Promise.resolve(made.values),
    });
    const sums = graph.node("MatMulInteger", [x, weight, zero]);
    const float = graph.node("Cast", [sums], { attributes: { to: elementType.f32 } });
    const both = graph.node("Mul", [scale, graph.scalar(`${name}_scale`, made.scale)]);
    return graph.node("Add", [graph.node("Mul", [float, both]), bias]);
  }

  #initializer(initializer: Initializer): string {
    this.#initializers.push(initializer);
    return initializer.name;
  }

  /** One matrix after the other: parts of a message that come again are joined by who reads it. */
  async write(path: string): Promise<void> {
    await using file = await open(path, "w");
    await file.writeFile(this.#graph.encode());
    for (const { name, type, shape, make } of this.#initializers) {
      const data = await make();
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
      const head = Buffer.concat([
        ...shape.map((size) => Buffer.concat([varint(1 * 8), varint(size)])),
        varint(2 * 8),
        varint(elementType[type]),
        lengthField(8, Buffer.byteLength(name)),
        Buffer.from(name),
        lengthField(9, bytes.length),
      ]);
      const tensor = lengthField(5, head.length + bytes.length);
      await file.writeFile(lengthField(7, tensor.length + head.length + bytes.length));
      await file.writeFile(tensor);
      await file.writeFile(head);
      await file.writeFile(bytes);
    }
  }
}

function transposed(values: Float32Array, rows: number, columns: number): Float32Array {
  const turned = new Float32Array(values.length);
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      turned[column * rows + row] = values[row * columns + column] ?? 0;
    }
  }
  return turned;
}

function quantize(values: Float32Array): { readonly scale: number; readonly values: Int8Array } {
  let largest = 0;
  for (const value of values) largest = Math.max(largest, Math.abs(value));
  const scale = largest / 127;
  return { scale, values: Int8Array.from(values, (value) => Math.round(value / scale)) };
}

function lengthField(id: number, bytes: number): Buffer {
  return Buffer.concat([varint(id * 8 + 2), varint(bytes)]);
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}
