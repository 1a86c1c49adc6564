/** The task as tensors: texts → texts, with what the model thinks of each. */
import type { TensorView } from "../../work/task-form.js";
import { namedRows, numberRows, textRows, textRowsOf, textsOfRows } from "../row-tensors.js";

export const translationTensors: TensorView = {
  settings: ["beams", "lengthPenalty", "maxLength", "truncate", "split"],
  inputs: () => [textRows],
  outputs: () => [
    { name: "translation", datatype: "BYTES", shape: [-1] },
    { name: "score", datatype: "FP32", shape: [-1] },
  ],
  fieldsOf(inputs) {
    const { text } = namedRows(inputs, ["text"]);
    return { texts: textsOfRows(text, "text") };
  },
  tensorsOf(results) {
    const texts = results.map(({ values }) => {
      const { text } = values;
      return typeof text === "string" ? text : "";
    });
    return [textRowsOf(texts, "translation"), numberRows(results, "score")];
  },
};
