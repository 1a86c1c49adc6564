/** The messages of `POST /v1/rerank`: how well each text answers the query, in the order of the texts. */
import type { ItemError, ReplyLine, ReplySummary, RequestFields } from "./api.js";
import type { TextOrPair } from "./classify.js";

export interface RerankRequest extends RequestFields {
  /** Makes a pair with each text. Left out where the texts are pairs themselves. */
  readonly query?: string;
  /** One text or many; with no `query`, pairs: `[["query", "text"]]`. */
  readonly texts: string | readonly TextOrPair[];
  /** Adds `logit`. Default: false. */
  readonly raw?: boolean;
  /** Cut what is too long instead of refusing it; of a pair, the longer first. Default: false. */
  readonly truncate?: boolean;
  /** At which end a text is cut. Default: `end`. */
  readonly truncateFrom?: "end" | "start";
}

export interface RerankResult {
  /** 0 to 1: a sigmoid of the model's only logit; the logit itself where the model's folder says so. */
  readonly score: number;
  /** Only where `raw` was asked for. */
  readonly logit?: number;
  /** Of the pair, special tokens counted. */
  readonly inputTokens: number;
  /** True where the pair was cut because of `truncate`. */
  readonly truncated?: true;
}

export type RerankOutcome = RerankResult | ItemError;

export interface RerankResponse extends ReplySummary {
  /** In the order of the request. */
  readonly results: readonly RerankOutcome[];
}

export type RerankLine = ReplyLine<RerankOutcome>;
