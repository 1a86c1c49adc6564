/** The messages of `POST /v1/rerank`. */
import type { ItemError, ReplyLine, ReplySummary, RequestFields } from "./api.js";

export interface RerankRequest extends RequestFields {
  readonly query: string;
  readonly texts: string | readonly string[];
  readonly raw?: boolean;
  readonly truncate?: boolean;
}

export interface RerankResult {
  readonly score: number;
  readonly logit?: number;
  readonly inputTokens?: number;
}

export type RerankOutcome = RerankResult | ItemError;

export interface RerankResponse extends ReplySummary {
  readonly results: readonly RerankOutcome[];
}

export type RerankLine = ReplyLine<RerankOutcome>;
