/**
 * Beam search with Hugging Face's meaning: at each step the best 2 × beams continuations of all hypotheses; among
 * these, only the first `beams` may finish; the best `beams` that did not end go on. A finished one is scored
 * sum / length^lengthPenalty, its length counting the end token, and the best `beams` finished ones are kept.
 *
 * One thing differs. Hugging Face writes −1e9 for "no hypothesis yet" and counts with it as with a score; where
 * lengthPenalty is far from 0, real scores are lower (−5 × 8^10), and the search ends with nothing, or are higher
 * (−1e9 / 12^10), and what never was possible wins. Here a place without a hypothesis is empty: whatever comes
 * is better, so that a search ends with a hypothesis for every setting.
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

/** A hypothesis is a chain of tokens, so that beams with a common past share it. */
interface Chain {
  readonly token: number;
  readonly before: Chain | null;
}

interface Running {
  readonly chain: Chain;
  readonly score: number;
}

interface Continuation {
  readonly parent: number;
  readonly token: number;
  readonly score: number;
}

interface Finished {
  readonly chain: Chain;
  readonly score: number;
}

export class BeamSearch implements Search {
  readonly width: number;
  readonly tokens: Int32Array;
  readonly parents: Int32Array;
  readonly #start: SearchStart;
  /** The best first. Only one at the beginning, or all would stay alike for ever; fewer than `width` also where the
   * rules permit no more. */
  #running: Running[];
  /** The best first, at most `width`. */
  #finished: Finished[] = [];
  /** Tokens of each running hypothesis, start token included. */
  #length = 1;
  #canImprove = true;

  constructor(start: SearchStart) {
    this.#start = start;
    this.width = start.settings.beams;
    this.tokens = new Int32Array(this.width).fill(start.startTokenId);
    this.parents = new Int32Array(this.width);
    this.#running = [{ chain: { token: start.startTokenId, before: null }, score: 0 }];
  }

  get forced(): boolean {
    const { rules, settings } = this.#start;
    return rules.forcedEndTokenId !== null && this.#length === settings.maxLength - 1;
  }

  advance(candidates: Candidates, rows: Int32Array): boolean {
    const best = this.#bestContinuations(candidates, rows);
    if (best.length > 0) return this.#step(best);
    // Nothing may follow; what has been generated so far is the result.
    if (this.#length === 1) throw new Error("the model permits no token at all");
    return true;
  }

  force(): void {
    const token = this.#start.rules.forcedEndTokenId;
    if (token === null) throw new Error("no end token is forced here");
    this.#step(this.#running.map(({ score }, parent) => ({ parent, token, score })));
  }

  results(): Hypothesis[] {
    const { nBest } = this.#start.settings;
    const running = () =>
      this.#running.map(({ chain, score }) => ({
        chain,
        score: this.#scored(score, this.#length - 1),
      }));
    // Nothing finished where nothing may follow: then those that run are the result, cut off.
    const ended = this.#finished.length > 0 ? this.#finished : running();
    return ended.slice(0, nBest).map(({ chain, score }) => ({ tokenIds: tokensOf(chain), score }));
  }

  /** The best 2 × beams over all rows; equal scores keep the order of rows, then of candidates. */
  #bestContinuations(candidates: Candidates, rows: Int32Array): Continuation[] {
    const { rules } = this.#start;
    const wanted = 2 * this.width;
    const all: Continuation[] = [];
    for (const [parent, running] of this.#running.entries()) {
      const row = candidates.rowOffset + (rows[parent] ?? 0);
      const from = row * candidates.count;
      const generated = this.#history(running.chain);
      const more = rules.renormalizeLogits
        ? renormalization(rules, candidates, { row, generated })
        : 0;
      let taken = 0;
      for (let index = from; index < from + candidates.count && taken < wanted; index += 1) {
        const token = candidates.ids[index] ?? 0;
        if (isBad(rules, generated, token)) continue;
        const score = Math.fround(running.score + logProbabilityOf(candidates, index) + more);
        // Impossible, or less likely than a float can say.
        if (!Number.isFinite(score)) continue;
        all.push({ parent, token, score });
        taken += 1;
      }
    }
    return all.sort((left, right) => right.score - left.score).slice(0, wanted);
  }

  /** Only bad words of several tokens need the past. */
  #history(chain: Chain): readonly number[] {
    const longest = Math.max(0, ...this.#start.rules.badWords.map((word) => word.length));
    return longest > 1 ? [this.#start.startTokenId, ...tokensOf(chain)] : [];
  }

  #step(best: readonly Continuation[]): boolean {
    const { rules, settings } = this.#start;
    const atEnd = this.#length + 1 >= settings.maxLength;
    const ends = (continuation: Continuation) => atEnd || continuation.token === rules.endTokenId;
    const goOn = best.filter((continuation) => !ends(continuation)).slice(0, this.width);
    this.#finish(best.slice(0, this.width).filter(ends));
    this.#continue(goOn);
    this.#length += 1;
    this.#canImprove &&= this.#mayImprove();
    const full = this.#finished.length === this.width;
    const stopEarly = full && rules.earlyStopping === true;
    return !this.#canImprove || stopEarly || goOn.length === 0;
  }

  #finish(ended: readonly Continuation[]): void {
    const { rules } = this.#start;
    const full = this.#finished.length === this.width;
    if (!this.#canImprove || (full && rules.earlyStopping === true)) return;
    const scored = ended.map(({ parent, token, score }) => ({
      chain: { token, before: this.#running[parent]?.chain ?? null },
      score: this.#scored(score, this.#length),
    }));
    this.#finished = [...this.#finished, ...scored]
      .sort((left, right) => right.score - left.score)
      .slice(0, this.width);
  }

  #continue(goOn: readonly Continuation[]): void {
    this.#running = goOn.map(({ parent, token, score }, beam) => {
      this.parents[beam] = parent;
      this.tokens[beam] = token;
      return { chain: { token, before: this.#running[parent]?.chain ?? null }, score };
    });
  }

  /** Whether the best running hypothesis could still beat the worst finished one. */
  #mayImprove(): boolean {
    const { rules, settings } = this.#start;
    const best = this.#running[0];
    if (best === undefined) return false;
    const worst = this.#finished.length === this.width ? this.#finished.at(-1) : undefined;
    if (worst === undefined) return true;
    const farthest = rules.earlyStopping === "never" && settings.lengthPenalty > 0;
    return (
      this.#scored(best.score, farthest ? settings.maxLength - 1 : this.#length - 1) > worst.score
    );
  }

  /** `length`: tokens generated. The engine admits no penalty that could make it infinite. */
  #scored(sum: number, length: number): number {
    return sum / length ** this.#start.settings.lengthPenalty;
  }
}

/** Without the start token. */
function tokensOf(chain: Chain): number[] {
  const tokens: number[] = [];
  for (let at = chain; at.before !== null; at = at.before) tokens.push(at.token);
  return tokens.reverse();
}
