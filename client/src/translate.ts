/** The task `translate`: what its callers pass, and what its lines must look like. */
import type { CommonOptions, EachOptions } from "./call.js";
import type { CallSummary } from "./collect.js";
import type { Gathering, Inputs, Task } from "./task.js";
import { copyOfList, requestCharactersMax } from "./texts.js";
import {
  MillraceError,
  type ReplySummary,
  type TranslateOutcome,
  type TranslateRequest,
  type TranslateResult,
} from "./wire/index.js";

/** Everything of a request but its inputs. */
export type TranslateFields = Omit<TranslateRequest, "texts" | "tokenIds">;

/** The fields of the API, and what the client adds. */
export interface TranslateOptions extends TranslateFields, CommonOptions {}

/** The fields of the API for every text of a long source, and how it is cut. */
export interface TranslateEachOptions extends TranslateFields, EachOptions {}

/** One text, many, or token ids from the model's own tokenizer. */
export type TranslateInput =
  | string
  | readonly string[]
  | { readonly tokenIds: readonly (readonly number[])[] };

/** The results in the order of the texts, and what is known of the request that brought them. */
export type Translation = CallSummary & {
  /** A text that failed is `{ error }`; its neighbours are not affected. */
  readonly results: readonly TranslateOutcome[];
};

/** The end of a stream: what the server says of the request. */
export type TranslationSummary = ReplySummary;

/** The outcome of one text, with its place in the call. */
export type IndexedOutcome = { readonly index: number } & TranslateOutcome;

/** @deprecated Since 0.2: use `IndexedOutcome`. */
export type IndexedItem = IndexedOutcome;

export const translateTask: Task<TranslateResult> = {
  path: "v1/translate",
  readResult: (value) => (isResult(value) ? value : null),
  itemsOf: ({ sentences }) => (Number.isSafeInteger(sentences) ? sentences : 1),
};

function isResult(value: object): value is TranslateResult {
  return "text" in value && typeof value.text === "string";
}

/** How a long source of texts becomes requests. */
export function gatherTexts(fields: TranslateFields): Gathering<string> {
  return {
    sizeOf: (text) => text.length,
    inputsOf: (texts) => textsOf(texts, fields),
    requestInputsMax: 1000,
    requestSizeMax: requestCharactersMax,
  };
}

/** Throws `bad_request` or `input_empty`. Copies: what the caller does to its list later changes no retry. */
export function inputsOf(input: TranslateInput, fields: TranslateFields): Inputs {
  if (typeof input === "string") return textsOf([input], fields);
  if (Array.isArray(input)) return textsOf(input, fields);
  if (typeof input !== "object" || input === null || !("tokenIds" in input)) {
    throw new MillraceError("bad_request", "A text, a list of texts or `tokenIds` is needed.");
  }
  const values = copyOfList(input.tokenIds, "tokenIds").map((ids, index) =>
    copyOfList(ids, `tokenIds[${index}]`),
  );
  const characters = values.reduce((sum, ids) => sum + ids.length, 0);
  return { field: "tokenIds", values, characters, itemsMax: values.length };
}

function textsOf(texts: readonly string[], { split = true }: TranslateFields): Inputs {
  const values = copyOfList(texts, "texts");
  if (values.some((text) => typeof text !== "string")) {
    throw new MillraceError("bad_request", "Each text must be a string.", { param: "texts" });
  }
  const characters = values.reduce((sum, text) => sum + text.length, 0);
  // Where a sentence ends is the server's knowledge; that it has a character is certain.
  const sentencesMax = values.reduce((sum, text) => sum + Math.max(text.length, 1), 0);
  return { field: "texts", values, characters, itemsMax: split ? sentencesMax : values.length };
}
