/**
 * The messages of `POST /v1/embed`. An input is a text, a pair of texts, or the tokens of either; its result is one vector, or one
 * for each of its tokens.
 *
 * With `Accept: application/octet-stream` the reply is nothing but the vectors: float32 rows in little-endian order, one for
 * each input; their number and width stand in the header `headerNames.shape`, inputs that failed (their rows are NaN) in
 * `headerNames.failed`.
 */
import type { ItemError, ReplyLine, ReplySummary, RequestFields } from "./api.js";
import type { TextOrPair } from "./classify.js";

/**
 * What becomes of the vectors of a text's tokens, special ones included: their mean, the largest of each dimension, mean and
 * largest one behind the other, the first token's, the last token's, or nothing: `none` gives all of them.
 */
export const embedPoolings = ["mean", "max", "mean-max", "cls", "sep", "none"] as const;

export type EmbedPooling = (typeof embedPoolings)[number];

export interface EmbedRequest extends RequestFields {
  /** One text or many. A pair stands inside the list: `[["a", "b"]]`, because `["a", "b"]` are two texts. */
  readonly texts?: string | readonly TextOrPair[];
  /** Instead of `texts`: ids from the model's own tokenizer, special tokens included; they are taken as they are. */
  readonly tokenIds?: readonly (readonly number[])[];
  /**
   * Instead of `texts`: tokens of the model's vocabulary, of each text or of both of a pair. Those that it has not become its unknown
   * token; special tokens are added.
   */
  readonly tokens?: readonly (
    | readonly string[]
    | readonly [readonly string[], readonly string[]]
  )[];
  /** Default: the model's own, with what it has behind it. */
  readonly pooling?: EmbedPooling;
  /** Of the hidden states, from the last: -1 (the default) is the last layer, -2 the one before it, and so on to the embeddings. */
  readonly layer?: number;
  /** Each vector divided by its length. Default: the model's. */
  readonly normalize?: boolean;
  /** Only the first so many, divided by their length again where `normalize` holds. Default: all. */
  readonly dimensions?: number;
  /** `base64`: of the float32 numbers in little-endian order. Default: `float`. */
  readonly encoding?: "float" | "base64";
  /** Cut what is too long instead of refusing it; of a pair, the longer first. Default: false. */
  readonly truncate?: boolean;
  /** At which end it is cut. Default: `end`. */
  readonly truncateFrom?: "end" | "start";
  /** An input is too long with more tokens than this, special ones counted. Default, and at most: what the model takes. */
  readonly maxTokens?: number;
  /** Adds `tokens`. Default: false. */
  readonly returnTokens?: boolean;
  /** Special tokens have no weight in the poolings `mean`, `max` and `mean-max`. Default: false. */
  readonly maskSpecial?: boolean;
}

export interface EmbedResult {
  /** A list of numbers; with `none` one list for each token; with `encoding: "base64"` a text. */
  readonly embedding: readonly number[] | readonly (readonly number[])[] | string;
  /** Special tokens counted. */
  readonly inputTokens: number;
  /** True where the input was cut because of `truncate`. */
  readonly truncated?: true;
  /** Only where `returnTokens` was asked for: those that the model read, special ones included, as its vocabulary has them. */
  readonly tokens?: readonly string[];
}

export type EmbedOutcome = EmbedResult | ItemError;

export interface EmbedResponse extends ReplySummary {
  /** In the order of the request. */
  readonly results: readonly EmbedOutcome[];
}

export type EmbedLine = ReplyLine<EmbedOutcome>;
