/** The messages of `POST /v1/embed`. An input is a text, and is one item. */
import type { ItemError, ReplyLine, ReplySummary, RequestFields } from "./api.js";

export interface EmbedRequest extends RequestFields {
  readonly texts: string | readonly (string | readonly [string, string])[];
  readonly pooling?: "mean" | "max" | "mean-max" | "cls" | "sep" | "none";
  readonly layer?: number;
  readonly normalize?: boolean;
  readonly dimensions?: number;
  readonly encoding?: "float" | "base64";
  readonly truncate?: boolean;
}

export interface EmbedResult {
  readonly embedding: string | readonly number[] | readonly (string | readonly number[])[];
  readonly inputTokens: number;
  readonly truncated?: true;
}

export type EmbedOutcome = EmbedResult | ItemError;

export interface EmbedResponse extends ReplySummary {
  readonly results: readonly EmbedOutcome[];
}

export type EmbedLine = ReplyLine<EmbedOutcome>;
