/** The task as tensors: texts → rows of a matrix. */
import { MillraceError } from "millrace-client/wire";
import type { TensorView } from "../../work/task-form.js";
import { namedRows, textRows, textsOfRows } from "../row-tensors.js";

export const embeddingTensors: TensorView = {
  settings: [
    "pooling",
    "layer",
    "normalize",
    "dimensions",
    "truncate",
    "truncateFrom",
    "maxTokens",
    "maskSpecial",
  ],
  inputs: () => [textRows],
  outputs: ({ embedding }) => [
    { name: "embedding", datatype: "FP32", shape: [-1, embedding?.width ?? -1] },
  ],
  fieldsOf(inputs) {
    const { text } = namedRows(inputs, ["text"]);
    return { texts: textsOfRows(text, "text") };
  },
  tensorsOf(results) {
    const vectors = results.map(({ tensors }) => tensors["embedding"]);
    const width = vectors[0]?.data.length ?? 0;
    const data = new Float32Array(vectors.length * width);
    for (const [row, vector] of vectors.entries()) {
      if (vector?.shape.length !== 1 || !(vector.data instanceof Float32Array)) {
        const message =
          "the pooling `none` gives a vector of each token: rows of tensors have one each";
        throw new MillraceError("bad_request", message, { param: "parameters.pooling" });
      }
      data.set(vector.data, row * width);
    }
    return [{ name: "embedding", datatype: "FP32", shape: [vectors.length, width], data }];
  },
};
