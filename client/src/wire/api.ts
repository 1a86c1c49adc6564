/**
 * The messages of the native HTTP API, `POST /v1/translate` and its neighbours. The only definition of
 * them: the server validates against these types, the client sends them.
 */
import type { WireError } from "./errors.js";

/** `realtime`: somebody waits. `bulk`: nobody waits. */
export type WorkClass = "realtime" | "bulk";

export interface TranslateRequest {
  /** One text or many; a text may be a sentence, a paragraph or a page. */
  readonly texts?: string | readonly string[];
  /** Instead of `texts`: token ids from the model's own tokenizer, end token included. */
  readonly tokenIds?: readonly (readonly number[])[];
  /** Needed only where the server serves more than one model. */
  readonly model?: string;
  /** Else by size: fewer items than `bulkThreshold` (256) are `realtime`. */
  readonly class?: WorkClass;
  /** Hypotheses that the search keeps, 1 to 8; 1 is greedy. Default: 1. */
  readonly beams?: number;
  /** Exponent of the length in a finished beam's score. Default: the model's. */
  readonly lengthPenalty?: number;
  /** Longest output in tokens, the start token counted. Default: the model's. */
  readonly maxLength?: number;
  /** How many alternatives to return, at most `beams`. Default: 1. */
  readonly nBest?: number;
  /** From arrival to the last result, in milliseconds; what is not done then fails alone. */
  readonly timeoutMs?: number;
  /** Tenants share the machine fairly. Default: `default`. */
  readonly tenant?: string;
  /** Cut what is too long instead of refusing it. Default: false. */
  readonly truncate?: boolean;
  /** Split texts into sentences and join the translations again. Default: true. */
  readonly split?: boolean;
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

export interface ItemError {
  readonly error: WireError;
}

export type TranslateItem = TranslateResult | ItemError;

/** Which deployment answered: on every reply, as a header and in every JSON body. */
export interface DeploymentIdentity {
  readonly name: string;
  readonly environment: string;
  readonly version: string;
  /** Short hash of the frozen configuration. */
  readonly configHash: string;
  readonly node: string;
}

/** Where the time of a request went, in milliseconds. */
export interface RequestTimings {
  /** Splitting and tokenising. */
  readonly prepareMs: number;
  /** Longest wait of any of its items until a pipeline took it. */
  readonly queueMs: number;
  /** From the first hand-over to a pipeline until the last result. */
  readonly computeMs: number;
  readonly totalMs: number;
}

export interface TranslateResponse {
  readonly id: string;
  readonly model: string;
  readonly class: WorkClass;
  /** In the order of the request. */
  readonly results: readonly TranslateItem[];
  readonly timings: RequestTimings;
  /** How many sentences each pipeline translated, by pipeline id. */
  readonly pipelines: Readonly<Record<string, number>>;
  readonly deployment: DeploymentIdentity;
}

/** A line of an `application/x-ndjson` reply: one for each text as it is ready, then one `done`. */
export type TranslateLine =
  | ({ readonly index: number } & TranslateItem)
  | { readonly done: Omit<TranslateResponse, "results"> }
  | { readonly error: WireError; readonly index?: never };

export interface ErrorResponse {
  readonly error: WireError;
  readonly id: string;
  readonly deployment: DeploymentIdentity;
}

export interface ModelInfo {
  readonly name: string;
  readonly task: string;
  readonly family: string;
  readonly sourceLanguage?: string;
  readonly targetLanguage?: string;
  readonly precision: string;
  readonly ready: boolean;
  readonly limits: { readonly inputTokensMax: number; readonly outputTokensMax: number };
}

export interface ModelsResponse {
  readonly models: readonly ModelInfo[];
  readonly deployment: DeploymentIdentity;
}

/** Names of the headers that Millrace reads or writes beyond the standard ones. */
export const headerNames = {
  requestId: "x-request-id",
  /** `name=…, environment=…, version=…, config=…, node=…` on every reply. */
  deployment: "x-millrace-deployment",
  /** What the caller demands, e.g. `environment=prod, version=0.1.0`; any other deployment refuses. */
  expect: "x-millrace-expect",
} as const;

/** Hard bounds of the API that no option can raise. */
export const apiLimits = {
  beamsMax: 8,
  tenantCharactersMax: 64,
  requestIdCharactersMax: 128,
} as const;
