/** The task as tensors: texts, pairs of texts or pictures → the best labels of each, the best first. */
import type { ModelInfo, ModelTensor } from "millrace-client/wire";
import { isJsonObject } from "../../work/payload.js";
import type { TensorView } from "../../work/task-form.js";
import { wrong } from "../../work/tensor-json.js";
import { textTensor } from "../../work/tensors.js";
import { filesOfRows, namedRows, textRows, textsOfRows } from "../row-tensors.js";

const picture: ModelTensor = { name: "image", datatype: "BYTES", shape: [-1] };

export const classificationTensors: TensorView = {
  settings: ["topK", "truncate", "truncateFrom"],
  takesFiles,
  inputs: (model) => (takesFiles(model) ? [picture] : [textRows]),
  outputs: () => [
    { name: "label", datatype: "BYTES", shape: [-1, -1] },
    { name: "score", datatype: "FP32", shape: [-1, -1] },
  ],
  fieldsOf(inputs) {
    const { text, text_pair: pair, image } = namedRows(inputs, ["text", "text_pair", "image"]);
    if (image !== undefined && text === undefined) return { images: filesOfRows(image, "image") };
    const texts = textsOfRows(text, "text");
    if (pair === undefined) return { texts };
    const others = textsOfRows(pair, "text_pair");
    if (others.length !== texts.length) {
      const of = { name: "text_pair", param: "inputs.text_pair" };
      throw wrong(of, `it has ${others.length} rows, "text" has ${texts.length}`);
    }
    return { texts: texts.map((each, row) => [each, others[row] ?? ""]) };
  },
  tensorsOf(results) {
    const rows = results.map(({ values }) => {
      const { labels } = values;
      return Array.isArray(labels) ? labels.filter(isJsonObject) : [];
    });
    const shape = [rows.length, rows[0]?.length ?? 0];
    const all = rows.flat();
    const texts = all.map(({ label }) => (typeof label === "string" ? label : ""));
    const data = Float32Array.from(all, ({ score }) => Number(score));
    return [
      textTensor(texts, { name: "label", shape }),
      { name: "score", datatype: "FP32", shape, data },
    ];
  },
};

/** A model that reads texts has a limit of tokens. */
function takesFiles({ limits }: ModelInfo): boolean {
  return limits.inputTokensMax === undefined;
}
