/** The task `embed`: texts in, vectors out. They travel in base64, which a float array takes at once. */
import { fromBase64 } from "./base64.js";
import type { CommonOptions, EachOptions } from "./call.js";
import type { CallSummary } from "./collect.js";
import type { Indexed, Inputs, Outcome, Task } from "./task.js";
import { copyOfList, textInputs } from "./texts.js";
import {
  type EmbedRequest,
  type EmbedResult,
  MillraceError,
  type TextOrPair,
} from "./wire/index.js";

/** Everything of a request but its inputs, and how they travel. */
export type EmbedFields = Omit<EmbedRequest, "texts" | "tokenIds" | "tokens" | "encoding">;

/** One text or many; in a list, `["a", "b"]` is a pair that the model reads together. Or tokens, as `EmbedRequest` says. */
export type EmbedInput =
  | string
  | readonly TextOrPair[]
  | { readonly tokenIds: NonNullable<EmbedRequest["tokenIds"]> }
  | { readonly tokens: NonNullable<EmbedRequest["tokens"]> };

/** The fields of the API, and what the client adds. */
export interface EmbedOptions extends EmbedFields, CommonOptions {}

/** The same for every text of a long source, and how it is cut. */
export interface EmbedEachOptions extends EmbedFields, EachOptions {}

/** What one text comes to. */
export interface Embedding extends Omit<EmbedResult, "embedding"> {
  /** One vector; with `pooling: "none"` those of its `inputTokens` tokens, one behind the other. */
  readonly embedding: Float32Array;
}

/** The results in the order of the texts, and what is known of the request that brought them. */
export type Embeddings = CallSummary & {
  /** A text that failed is `{ error }`; its neighbours are not affected. */
  readonly results: readonly Outcome<Embedding>[];
};

/** The outcome of one text, with its place in the call. */
export type IndexedEmbedding = Indexed<Embedding>;

export const embedTask: Task<Embedding> = {
  path: "v1/embed",
  readResult: (value) =>
    "embedding" in value && typeof value.embedding === "string"
      ? ({ ...value, embedding: floatsOf(value.embedding) } as Embedding)
      : null,
  itemsOf: () => 1,
};

/** Throws `bad_request` or `input_empty`. Copies. */
export function embedInputs(input: EmbedInput): Inputs {
  if (typeof input === "string" || isTexts(input)) return textInputs(input);
  if (typeof input !== "object" || input === null) {
    throw new MillraceError("bad_request", "Texts, or tokens of them, are needed.");
  }
  const field = "tokenIds" in input ? "tokenIds" : "tokens";
  const list: readonly (readonly unknown[])[] = "tokenIds" in input ? input.tokenIds : input.tokens;
  const values = copyOfList(list, field).map((each) => [...each]);
  const characters = values.reduce((sum, { length }) => sum + length, 0);
  return { field, values, characters, itemsMax: values.length };
}

function isTexts(input: EmbedInput): input is readonly TextOrPair[] {
  return Array.isArray(input);
}

/** How vectors are asked for. Base64 took 13 ms for 256 × 768 numbers, lists of numbers 49, rows of bytes 2 (but no errors). */
export const embedEncoding: Pick<EmbedRequest, "encoding"> = { encoding: "base64" };

/** Little-endian, as every machine is that this runs on. */
function floatsOf(text: string): Float32Array {
  const bytes = fromBase64(text);
  if (bytes.length % Float32Array.BYTES_PER_ELEMENT !== 0) {
    throw new MillraceError("response_invalid", `A vector of ${bytes.length} bytes is none.`);
  }
  return new Float32Array(bytes.buffer);
}
