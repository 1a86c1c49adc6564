/** Builds one ONNX graph node by node; names are made here, so that a graph reads like the code that built it. */
import type { StoredTensor } from "../weights-file.js";
import {
  type AttributeMessage,
  attributeType,
  type ElementType,
  elementType,
  encodeModel,
  type NodeMessage,
  type TensorMessage,
  type ValueMessage,
} from "./schema.js";

export const onnxOpset: number = 17;
const irVersion = 8;
const microsoftDomain = "com.microsoft";

/** A dimension is a number or the name of one that varies. */
export type Dimension = number | string;

type Attribute = number | readonly number[] | { readonly float: number };

export interface NodeOptions {
  /** Attributes: a number is an int, `{ float }` a float, a list a list of ints. */
  readonly attributes?: Readonly<Record<string, Attribute>>;
  readonly outputs?: number;
  /** Names of the first outputs, where they are to have their own: the graph's outputs, see `declare`. */
  readonly names?: readonly string[];
  readonly microsoft?: boolean;
}

export class GraphBuilder {
  readonly #name: string;
  readonly #nodes: NodeMessage[] = [];
  readonly #initializers = new Map<string, TensorMessage>();
  readonly #inputs: ValueMessage[] = [];
  readonly #outputs: ValueMessage[] = [];
  readonly #counts = new Map<string, number>();

  constructor(name: string) {
    this.#name = name;
  }

  input(name: string, type: ElementType, shape: readonly Dimension[]): string {
    this.#inputs.push(valueOf(name, type, shape));
    return name;
  }

  /** Names `value` as an output of the graph. */
  output(
    name: string,
    value: string,
    declared: { type: ElementType; shape: readonly Dimension[] },
  ): void {
    this.#nodes.push(nodeOf("Identity", { input: [value], output: [name] }, name));
    this.#outputs.push(valueOf(name, declared.type, declared.shape));
  }

  /** The value of this name leaves the graph as it is: a node wrote it, and nothing copies it. */
  declare(name: string, declared: { type: ElementType; shape: readonly Dimension[] }): void {
    this.#outputs.push(valueOf(name, declared.type, declared.shape));
  }

  /** Adds a node and returns the name of its only output. */
  node(opType: string, inputs: readonly string[], options: NodeOptions = {}): string {
    const [output] = this.nodes(opType, inputs, options);
    if (output === undefined) throw new Error(`${opType} has no output`);
    return output;
  }

  /** Adds a node and returns the names of all its outputs. */
  nodes(opType: string, inputs: readonly string[], options: NodeOptions = {}): string[] {
    const count = (this.#counts.get(opType) ?? 0) + 1;
    this.#counts.set(opType, count);
    const name = `${opType}_${count}`;
    const outputs = Array.from(
      { length: options.outputs ?? 1 },
      (_, index) => options.names?.[index] ?? `${name}:${index}`,
    );
    const node = nodeOf(opType, { input: inputs, output: outputs }, name);
    node.attribute = Object.entries(options.attributes ?? {}).map(attributeOf);
    node.domain = options.microsoft === true ? microsoftDomain : "";
    this.#nodes.push(node);
    return outputs;
  }

  /** A small constant inside the graph. Equal names must mean equal constants. */
  constant(
    name: string,
    type: ElementType,
    values: { shape: readonly number[]; data: ArrayBufferView },
  ): string {
    const { data, shape } = values;
    this.#initializers.set(name, {
      name,
      dims: [...shape],
      dataType: elementType[type],
      rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
    });
    return name;
  }

  ints(name: string, values: readonly number[]): string {
    const data = BigInt64Array.from(values, (value) => BigInt(value));
    return this.constant(name, "i64", { shape: [values.length], data });
  }

  scalar(name: string, value: number): string {
    return this.constant(name, "f32", { shape: [], data: Float32Array.of(value) });
  }

  /** A tensor in the weights file. */
  weight(stored: StoredTensor): string {
    this.#initializers.set(stored.name, {
      name: stored.name,
      dims: [...stored.shape],
      dataType: elementType[stored.type],
      dataLocation: 1,
      externalData: [
        { key: "location", value: stored.file },
        { key: "offset", value: String(stored.byteOffset) },
        { key: "length", value: String(stored.byteLength) },
      ],
    });
    return stored.name;
  }

  encode(): Uint8Array {
    return encodeModel({
      irVersion,
      producerName: "millrace",
      producerVersion: "",
      opsetImport: [
        { domain: "", version: onnxOpset },
        { domain: microsoftDomain, version: 1 },
      ],
      graph: {
        name: this.#name,
        node: this.#nodes,
        initializer: [...this.#initializers.values()],
        input: this.#inputs,
        output: this.#outputs,
      },
    });
  }
}

function nodeOf(
  opType: string,
  ends: { readonly input: readonly string[]; readonly output: readonly string[] },
  name: string,
): NodeMessage {
  return {
    opType,
    input: [...ends.input],
    output: [...ends.output],
    name,
    attribute: [],
    domain: "",
  };
}

function attributeOf([name, value]: [string, Attribute]): AttributeMessage {
  if (typeof value === "number") return { name, i: value, type: attributeType.int };
  if (Array.isArray(value)) return { name, ints: [...value], type: attributeType.ints };
  if ("float" in value) return { name, f: value.float, type: attributeType.float };
  throw new Error(`attribute ${name} has no type`);
}

function valueOf(name: string, type: ElementType, shape: readonly Dimension[]): ValueMessage {
  const dim = shape.map((size) =>
    typeof size === "number" ? { dimValue: size } : { dimParam: size },
  );
  return { name, type: { tensorType: { elemType: elementType[type], shape: { dim } } } };
}
