/** The messages of `POST /v1/classify`. */
import type { ItemError, ReplyLine, ReplySummary, RequestFields } from "./api.js";

export interface ClassifyRequest extends RequestFields {
  readonly texts?: string | readonly (string | readonly [string, string])[];
  readonly images?: string | readonly string[];
  readonly raw?: boolean;
  readonly truncate?: boolean;
}

export interface ClassifyLabel {
  readonly label: string;
  readonly score: number;
}

export interface ClassifyResult {
  readonly labels: readonly ClassifyLabel[];
  readonly logits?: readonly number[];
  readonly inputTokens?: number;
}

export type ClassifyOutcome = ClassifyResult | ItemError;

export interface ClassifyResponse extends ReplySummary {
  readonly results: readonly ClassifyOutcome[];
}

export type ClassifyLine = ReplyLine<ClassifyOutcome>;
