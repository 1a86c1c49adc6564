/** The task `ocr`: pictures → the lines of text on them. */
import { MillraceError, type OcrResult } from "millrace-client/wire";
import { programManifestOf } from "../../models/engine-table.js";
import type { ModelFolder } from "../../models/registry.js";
import { imageSteps, imageWeight } from "../../prepare/image/image-steps.js";
import { heldImageBytes, type ImageInput, readImages } from "../../prepare/image/read-images.js";
import { Fields } from "../../work/fields.js";
import { type JsonObject, type Payload, valuesOnly } from "../../work/payload.js";
import type { PrepareStep } from "../../work/piece.js";
import { boxNumbers, readTextLines, type TextLines } from "../../work/text-lines.js";
import type {
  JoinParts,
  PrepareLimits,
  ReadLimits,
  Task,
  TaskModel,
  TaskRequest,
} from "../task.js";
import { ocrSchema } from "./schema.js";
import { ocrTensors } from "./tensor-view.js";

export const ocr: Task<ImageInput> = {
  name: "ocr",
  inputFields: ["images"],
  fields: ["images"],
  files: { field: "images", mediaTypes: ["image/*"] },
  schema: ocrSchema,
  tensorView: ocrTensors,
  read,
  async open({ manifest: served }: ModelFolder, limits: PrepareLimits) {
    programManifestOf(served, "ocr");
    return await Promise.resolve(new OcrTaskModel(limits));
  },
};

/** What a line's result takes in memory beside its text: a score and eight numbers, in lists of lists. */
const lineBytes = 640;
/** A line of JavaScript's text has two bytes a character at the most, which one of UTF-8 has at the least; and it is in the reply. */
const textFactor = 3;
/** Counted before anybody knows how many lines there are: two dozen. The rest is counted when the answer comes. */
const resultBytes = 16 * 1024;

function read(
  body: Readonly<Record<string, unknown>>,
  { requestInputsMax }: ReadLimits,
): TaskRequest<ImageInput> {
  const images = new Fields(body).value("images");
  const inputs = readImages(images, "images", requestInputsMax);
  return { inputs, settings: {}, bytes: heldImageBytes(inputs) };
}

class OcrTaskModel implements TaskModel<ImageInput> {
  readonly #limits: PrepareLimits;

  constructor(limits: PrepareLimits) {
    this.#limits = limits;
  }

  complete(): JsonObject {
    return {};
  }

  weigh(): number {
    return imageWeight;
  }

  steps(input: ImageInput, { index }: { readonly index: number }): Iterable<PrepareStep> {
    return imageSteps(input, { param: `images[${index}]`, limits: this.#limits, resultBytes });
  }

  checkResult(value: Payload): string | null {
    return readTextLines(value) === null ? "the model's answer is not lines of text" : null;
  }

  furtherBytes({ tensors }: Payload): number {
    const [texts, boxes, failed] = ["texts", "boxes", "failedBoxes"].map(
      (name) => tensors[name]?.data.length ?? 0,
    );
    const lines = ((boxes ?? 0) + (failed ?? 0)) / boxNumbers;
    return Math.max(0, lines * lineBytes + (texts ?? 0) * textFactor - resultBytes);
  }

  join({ answers: [answer] }: JoinParts): Payload {
    const found = answer === undefined ? null : readTextLines(answer);
    if (found === null) throw new Error("ocr: an answer was joined before it was checked");
    return valuesOnly({ ...resultOf(found) });
  }
}

function resultOf({ width, height, lines, failures }: TextLines): OcrResult & JsonObject {
  return {
    width,
    height,
    lines: lines.map(({ text, score, box }) => ({ text, score: rounded(score), box })),
    ...(failures.length === 0
      ? {}
      : {
          failedLines: failures.map(({ error, box }) => ({
            error: { ...new MillraceError(error.code, error.message).toWire() },
            box,
          })),
        }),
  };
}

/** What a float32 knows. */
function rounded(score: number): number {
  return Math.round(Math.min(1, score) * 1e6) / 1e6;
}
