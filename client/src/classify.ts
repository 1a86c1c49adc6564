/** The task `classify`: texts, pairs of texts or pictures in, labels with their scores out. */
import type { CommonOptions, EachOptions } from "./call.js";
import type { CallSummary } from "./collect.js";
import { isPicture, type Picture, pictureInputs } from "./pictures.js";
import type { Indexed, Inputs, Task } from "./task.js";
import { textInputs } from "./texts.js";
import type { ClassifyOutcome, ClassifyRequest, ClassifyResult, TextOrPair } from "./wire/index.js";

/** Everything of a request but its inputs. */
export type ClassifyFields = Omit<ClassifyRequest, "texts" | "images">;

/** The fields of the API, and what the client adds. */
export interface ClassifyOptions extends ClassifyFields, CommonOptions {}

/** The same for every input of a long source, and how it is cut. */
export interface ClassifyEachOptions extends ClassifyFields, EachOptions {}

/** One text or picture, or many of one kind; in a list, `["a", "b"]` is a pair that the model reads together. */
export type ClassifyInput = string | readonly TextOrPair[] | Picture | readonly Picture[];

/** The results in the order of the inputs, and what is known of the request that brought them. */
export type Classification = CallSummary & {
  /** An input that failed is `{ error }`; its neighbours are not affected. */
  readonly results: readonly ClassifyOutcome[];
};

/** The outcome of one input, with its place in the call. */
export type IndexedClassification = Indexed<ClassifyResult>;

export const classifyTask: Task<ClassifyResult> = {
  path: "v1/classify",
  readResult: (value) => (isResult(value) ? value : null),
  itemsOf: () => 1,
};

/** Throws `bad_request` or `input_empty`. */
export function classifyInputs(input: ClassifyInput): Inputs {
  if (isPicture(input) || isPictures(input)) return pictureInputs(input);
  return textInputs(input);
}

function isPictures(input: string | readonly unknown[]): input is readonly Picture[] {
  return Array.isArray(input) && isPicture(input[0]);
}

function isResult(value: object): value is ClassifyResult {
  return "labels" in value && Array.isArray(value.labels);
}
