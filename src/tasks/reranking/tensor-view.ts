/** The task as tensors: a query and texts → how well each text answers. */

import type { TensorView } from "../../work/task-form.js";
import { wrong } from "../../work/tensor-json.js";
import { namedRows, numberRows, textRows, textsOfRows } from "../row-tensors.js";

export const rerankingTensors: TensorView = {
  settings: ["truncate", "truncateFrom"],
  inputs: () => [{ name: "query", datatype: "BYTES", shape: [1] }, textRows],
  outputs: () => [{ name: "score", datatype: "FP32", shape: [-1] }],
  fieldsOf(inputs) {
    const { query, text } = namedRows(inputs, ["query", "text"]);
    const [only, ...more] = textsOfRows(query, "query");
    if (more.length > 0) {
      const of = { name: "query", param: "inputs.query" };
      throw wrong(of, `it has ${more.length + 1} rows: a request has one query`);
    }
    return { query: only, texts: textsOfRows(text, "text") };
  },
  tensorsOf: (results) => [numberRows(results, "score")],
};
