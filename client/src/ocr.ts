/** The task `ocr`: pictures in, the lines of text that are on them out. */
import type { CommonOptions, EachOptions } from "./call.js";
import type { CallSummary } from "./collect.js";
import type { Indexed, Task } from "./task.js";
import type { OcrOutcome, OcrRequest, OcrResult } from "./wire/index.js";

/** Everything of a request but its inputs. */
export type OcrFields = Omit<OcrRequest, "images">;

/** The fields of the API, and what the client adds. */
export interface OcrOptions extends OcrFields, CommonOptions {}

/** The same for every picture of a long source, and how it is cut. */
export interface OcrEachOptions extends OcrFields, EachOptions {}

/** The results in the order of the pictures, and what is known of the request that brought them. */
export type Ocr = CallSummary & {
  /** A picture that failed is `{ error }`; its neighbours are not affected. */
  readonly results: readonly OcrOutcome[];
};

/** The outcome of one picture, with its place in the call. */
export type IndexedOcr = Indexed<OcrResult>;

export const ocrTask: Task<OcrResult> = {
  path: "v1/ocr",
  readResult: (value) => (isResult(value) ? value : null),
  // Its lines, and one for finding them.
  itemsOf: ({ lines }) => lines.length + 1,
};

function isResult(value: object): value is OcrResult {
  return (
    "width" in value &&
    typeof value.width === "number" &&
    "height" in value &&
    typeof value.height === "number" &&
    "lines" in value &&
    Array.isArray(value.lines)
  );
}
