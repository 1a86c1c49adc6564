/**
 * One hypothesis; at each step its best permitted token. The score is the sum of the log-probabilities among the
 * permitted tokens, as transformers' `compute_transition_scores` gives them.
 */
import type { Hypothesis } from "../../../work/generation.js";
import {
  type Candidates,
  isBad,
  logProbabilityOf,
  renormalization,
  type Search,
  type SearchStart,
} from "./search.js";

export class GreedySearch implements Search {
  readonly width = 1;
  readonly tokens: Int32Array;
  readonly parents: Int32Array = new Int32Array(1);
  readonly #start: SearchStart;
  /** Start token included. */
  readonly #generated: number[];
  #score = 0;

  constructor(start: SearchStart) {
    this.#start = start;
    this.#generated = [start.startTokenId];
    this.tokens = Int32Array.of(start.startTokenId);
  }

  get forced(): boolean {
    const { rules, settings } = this.#start;
    return rules.forcedEndTokenId !== null && this.#generated.length === settings.maxLength - 1;
  }

  advance(candidates: Candidates): boolean {
    const { rules, settings } = this.#start;
    const from = candidates.rowOffset * candidates.count;
    for (let index = from; index < from + candidates.count; index += 1) {
      const token = candidates.ids[index] ?? 0;
      if (isBad(rules, this.#generated, token)) continue;
      const logProbability = logProbabilityOf(candidates, index);
      // They come best first: none of the others is possible either.
      if (logProbability === Number.NEGATIVE_INFINITY) break;
      const at = { row: candidates.rowOffset, generated: this.#generated };
      const more = renormalization(rules, candidates, at);
      this.#take(token, logProbability + more);
      return token === rules.endTokenId || this.#generated.length >= settings.maxLength;
    }
    throw new Error("the model permits no token here");
  }

  force(): void {
    const end = this.#start.rules.forcedEndTokenId;
    if (end === null) throw new Error("no end token is forced here");
    this.#take(end, 0);
  }

  results(): Hypothesis[] {
    return [{ tokenIds: this.#generated.slice(1), score: this.#score }];
  }

  #take(token: number, logProbability: number): void {
    this.#generated.push(token);
    this.#score += logProbability;
    this.tokens[0] = token;
  }
}
