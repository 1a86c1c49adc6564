/** Small ONNX graphs for tests: bytes as any exporter would write them. */
import { encodeModel, type NodeMessage, type TensorMessage } from "#src/convert/onnx/schema.js";
import { onnxElementTypes } from "#src/models/onnx/element-types.js";

export interface GraphTensor {
  readonly name: string;
  /** Or ONNX's number of one that nobody reads. */
  readonly type: keyof typeof onnxElementTypes | number;
  /** A text is a size with a name; an empty one has none. */
  readonly shape: readonly (number | string)[];
}

export interface MadeGraph {
  readonly nodes: readonly (Pick<NodeMessage, "opType" | "input" | "output"> &
    Partial<NodeMessage>)[];
  readonly inputs: readonly GraphTensor[];
  readonly outputs: readonly GraphTensor[];
  readonly initializers?: readonly TensorMessage[];
  readonly domains?: readonly string[];
  /** Of ONNX's own operators. Default: 17. */
  readonly opset?: number;
}

export function graphBytes({
  nodes,
  inputs,
  outputs,
  initializers = [],
  domains = [],
  opset = 17,
}: MadeGraph): Uint8Array {
  return encodeModel({
    irVersion: 8,
    producerName: "test",
    producerVersion: "1",
    opsetImport: [
      { domain: "", version: opset },
      ...domains.map((domain) => ({ domain, version: 1 })),
    ],
    graph: {
      name: "made",
      node: nodes.map((node, at) => ({ name: `n${at}`, attribute: [], domain: "", ...node })),
      initializer: [...initializers],
      input: inputs.map(valueOf),
      output: outputs.map(valueOf),
    },
  });
}

/** One node after the other from `x` to `y`, both of the same type and shape. */
export function identityGraph(type: GraphTensor["type"], shape: GraphTensor["shape"]): Uint8Array {
  return graphBytes({
    nodes: [{ opType: "Identity", input: ["x"], output: ["y"] }],
    inputs: [{ name: "x", type, shape }],
    outputs: [{ name: "y", type, shape }],
  });
}

function valueOf({ name, type, shape }: GraphTensor) {
  const dim = shape.map((size) =>
    typeof size === "number" ? { dimValue: size } : { dimParam: size },
  );
  const elemType = typeof type === "number" ? type : onnxElementTypes[type];
  return { name, type: { tensorType: { elemType, shape: { dim } } } };
}
