/** The messages of `POST /v1/translate`. An input is a text, and its items are the sentences that it is split into. */
import type { ItemError, ReplyLine, ReplySummary, RequestFields } from "./api.js";

export interface TranslateRequest extends RequestFields {
  /** One text or many; a text may be a sentence, a paragraph or a page. */
  readonly texts?: string | readonly string[];
  /** Instead of `texts`: token ids from the model's own tokenizer, end token included. */
  readonly tokenIds?: readonly (readonly number[])[];
  /** Hypotheses that the search keeps, 1 to 8; 1 is greedy. Default: the model's. */
  readonly beams?: number;
  /** Exponent of the length in a finished beam's score. Default: the model's. */
  readonly lengthPenalty?: number;
  /** Longest output in tokens, the start token counted. Default: the model's. */
  readonly maxLength?: number;
  /** How many alternatives to return, at most `beams`. Default: 1. */
  readonly nBest?: number;
  /** Cut what is too long instead of refusing it. Default: false. */
  readonly truncate?: boolean;
  /** Split texts into sentences and join the translations again. Default: true. */
  readonly split?: boolean;
  /** The lists of `tokenIds` were made equally long with the model's pad token, which is taken off their ends. Default: false. */
  readonly padded?: boolean;
}

export interface Alternative {
  readonly text: string;
  readonly score: number;
}

export interface TranslateResult {
  readonly text: string;
  /**
   * Of one sentence: greedy, the sum of the log-probabilities; beams, that sum / length^lengthPenalty.
   * Of a text of several sentences: the mean over its sentences.
   */
  readonly score: number;
  /** Tokens of the input and of the output, over all sentences. */
  readonly inputTokens: number;
  readonly outputTokens: number;
  /** Sentences that the text was split into. */
  readonly sentences: number;
  /** Only where `nBest` > 1; the best first. Of several sentences: the n-th of each, joined. */
  readonly alternatives?: readonly Alternative[];
  /** True where the input was cut because of `truncate`. */
  readonly truncated?: true;
}

/** What one text comes to. */
export type TranslateOutcome = TranslateResult | ItemError;

/** @deprecated Since 0.2: a text is an input, not an item. Use `TranslateOutcome`. */
export type TranslateItem = TranslateOutcome;

export interface TranslateResponse extends ReplySummary {
  /** In the order of the request. */
  readonly results: readonly TranslateOutcome[];
}

export type TranslateLine = ReplyLine<TranslateOutcome>;

/** Hard bounds of this task that no option can raise. */
export const translateLimits = {
  beamsMax: 8,
} as const;
