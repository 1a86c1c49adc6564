/** The messages of `POST /v1/classify`. An input is a text, a pair of texts or a picture, as the model takes; its result says which labels fit how well. */
import type { ItemError, ReplyLine, ReplySummary, RequestFields } from "./api.js";

/** A text, or two that the model sees as a pair. */
export type TextOrPair = string | readonly [first: string, second: string];

export interface ClassifyRequest extends RequestFields {
  /** One text or many. A pair stands inside the list: `[["a", "b"]]`, because `["a", "b"]` are two texts. */
  readonly texts?: string | readonly TextOrPair[];
  /** Instead of `texts`: picture files in base64. Over HTTP a body may also be one (`image/*`), or a form with several. */
  readonly images?: string | readonly string[];
  /** Only so many labels, the best. Default: all. */
  readonly topK?: number;
  /** Adds `logits`. Default: false. */
  readonly raw?: boolean;
  /** Cut what is too long instead of refusing it; of a pair, the longer first. Default: false. */
  readonly truncate?: boolean;
  /** At which end a text is cut. Default: `end`. */
  readonly truncateFrom?: "end" | "start";
}

export interface ScoredLabel {
  readonly label: string;
  /** By the model's own function: softmax (0 to 1, all add up to 1), a sigmoid of each (0 to 1), or the logit as it is. */
  readonly score: number;
}

export interface ClassifyResult {
  /** The best first; equal ones in the model's order. */
  readonly labels: readonly ScoredLabel[];
  /** Only where `raw` was asked for: what the scores were made of, of all labels, in the model's order. */
  readonly logits?: readonly number[];
  /** Of a text, special tokens counted. */
  readonly inputTokens?: number;
  /** True where the input was cut because of `truncate`. */
  readonly truncated?: true;
}

export type ClassifyOutcome = ClassifyResult | ItemError;

export interface ClassifyResponse extends ReplySummary {
  /** In the order of the request. */
  readonly results: readonly ClassifyOutcome[];
}

export type ClassifyLine = ReplyLine<ClassifyOutcome>;
