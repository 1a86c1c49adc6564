/** The task as tensors: pictures → the lines of each in one text. */
import { isJsonObject } from "../../work/payload.js";
import type { TensorView } from "../../work/task-form.js";
import { filesOfRows, namedRows, textRowsOf } from "../row-tensors.js";

export const ocrTensors: TensorView = {
  settings: [],
  takesFiles: () => true,
  inputs: () => [{ name: "image", datatype: "BYTES", shape: [-1] }],
  outputs: () => [{ name: "text", datatype: "BYTES", shape: [-1] }],
  fieldsOf(inputs) {
    const { image } = namedRows(inputs, ["image"]);
    return { images: filesOfRows(image, "image") };
  },
  tensorsOf(results) {
    const texts = results.map(({ values }) => {
      const lines = Array.isArray(values["lines"]) ? values["lines"].filter(isJsonObject) : [];
      return lines.map(({ text }) => (typeof text === "string" ? text : "")).join("\n");
    });
    return [textRowsOf(texts, "text")];
  },
};
