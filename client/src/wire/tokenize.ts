/**
 * The messages of `POST /v1/tokenize` and of `POST /v1/detokenize`: what a model reads of a text, and the text of that again.
 * Every model that reads text serves both, beside its own task.
 */
import type { ItemError, ReplyLine, ReplySummary, RequestFields } from "./api.js";

export interface TokenizeRequest extends RequestFields {
  readonly texts: string | readonly string[];
  /** With what the model's tokenizer puts around a text. Default: true. */
  readonly addSpecial?: boolean;
}

export interface TextToken {
  readonly id: number;
  /** As the model's vocabulary has it, for instance `##s`. */
  readonly text: string;
  /** It was put around the text, and does not stand in it. */
  readonly special: boolean;
  /**
   * Where it stands in the text, in code points, the first included and the last not; null for special tokens, and where it cannot be
   * told.
   */
  readonly start: number | null;
  readonly stop: number | null;
}

export interface TokenizeResult {
  readonly tokens: readonly TextToken[];
}

export type TokenizeOutcome = TokenizeResult | ItemError;

export interface TokenizeResponse extends ReplySummary {
  /** In the order of the request. */
  readonly results: readonly TokenizeOutcome[];
}

export type TokenizeLine = ReplyLine<TokenizeOutcome>;

export interface DetokenizeRequest extends RequestFields {
  readonly tokenIds: readonly (readonly number[])[];
  /** Without special tokens. Default: true. */
  readonly skipSpecial?: boolean;
}

export interface DetokenizeResult {
  readonly text: string;
}

export type DetokenizeOutcome = DetokenizeResult | ItemError;

export interface DetokenizeResponse extends ReplySummary {
  /** In the order of the request. */
  readonly results: readonly DetokenizeOutcome[];
}

export type DetokenizeLine = ReplyLine<DetokenizeOutcome>;
