/** The task `rerank`: how well each text answers a query. */
import type { CommonOptions, EachOptions } from "./call.js";
import type { CallSummary } from "./collect.js";
import type { Indexed, Outcome, Task } from "./task.js";
import type { RerankOutcome, RerankRequest, RerankResult } from "./wire/index.js";

/** Everything of a request but its inputs and their query. */
export type RerankFields = Omit<RerankRequest, "query" | "texts">;

/** The fields of the API, and what the client adds. */
export interface RerankOptions extends RerankFields, CommonOptions {}

/** The same for every text of a long source, and how it is cut. */
export interface RerankEachOptions extends RerankFields, EachOptions {}

/** The results in the order of the texts, and what is known of the request that brought them. */
export type Reranking = CallSummary & {
  /** A text that failed is `{ error }`; its neighbours are not affected. */
  readonly results: readonly RerankOutcome[];
  /** Indices of the texts, the best first; those that failed are left out. */
  readonly order: readonly number[];
};

/** The outcome of one text, with its place in the call. */
export type IndexedScore = Indexed<RerankResult>;

export const rerankTask: Task<RerankResult> = {
  path: "v1/rerank",
  readResult: (value) => (isResult(value) ? value : null),
  itemsOf: () => 1,
};

/** Of equal scores the first stays first. */
export function orderOf(results: readonly Outcome<RerankResult>[]): number[] {
  return results
    .flatMap((result, index) => ("error" in result ? [] : [{ index, score: result.score }]))
    .sort((left, right) => right.score - left.score)
    .map(({ index }) => index);
}

function isResult(value: object): value is RerankResult {
  return "score" in value && typeof value.score === "number";
}
