/** Graphs of one node that tests of tensors serve, whatever the protocol. */
import { onnxElementTypes } from "#src/models/onnx/element-types.js";
import { graphBytes } from "./onnx-graph.js";

type TypeName = Exclude<keyof typeof onnxElementTypes, "BF16">;

/** Those that are served. */
export const types: readonly TypeName[] = (Object.keys(onnxElementTypes) as TypeName[]).filter(
  (type: string) => type !== "BF16",
);

/** An input and an output of every type, all of them with rows of two: each input is an output. */
export const everyType: Uint8Array = graphBytes({
  nodes: types.map((type) => ({
    opType: "Identity",
    input: [`in ${type}`],
    output: [`out ${type}`],
  })),
  inputs: types.map((type) => ({ name: `in ${type}`, type, shape: ["n", 2] })),
  outputs: types.map((type) => ({ name: `out ${type}`, type, shape: ["n", 2] })),
});

/** A look-up among four numbers: an index that is none of theirs breaks the run. */
export const lookUp: Uint8Array = graphBytes({
  nodes: [{ opType: "Gather", input: ["table", "at"], output: ["found"] }],
  inputs: [{ name: "at", type: "INT64", shape: ["n"] }],
  outputs: [{ name: "found", type: "FP32", shape: ["n"] }],
  initializers: [
    {
      dims: [4],
      dataType: 1,
      name: "table",
      rawData: new Uint8Array(new Float32Array([0, 1, 4, 9]).buffer),
    },
  ],
});
