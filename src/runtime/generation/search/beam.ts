/**
 * Beam search with Hugging Face's meaning: at each step the best 2 × beams continuations of all hypotheses; among
 * these, only the first `beams` may finish; the best `beams` that did not end go on. A finished one is scored
 * sum / length^lengthPenalty, its length counting the end token, and the best `beams` finished ones are kept.
 */
import type { Hypothesis } from "../../../work/generation.js";
import {
  type Candidates,
  isBad,
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

/** Hugging Face's stand-in for "impossible" that is still finite. */
const unlikely = -1e9;

export class BeamSearch implements Search {
  readonly width: number;
  readonly tokens: Int32Array;
  readonly parents: Int32Array;
  readonly #start: SearchStart;
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
    const chain: Chain = { token: start.startTokenId, before: null };
    // All beams begin alike: only the first counts, or they would stay alike for ever.
    this.#running = Array.from({ length: this.width }, (_, beam) => ({
      chain,
      score: beam === 0 ? 0 : unlikely,
    }));
  }

  get forced(): boolean {
    const { rules, settings } = this.#start;
    return rules.forcedEndTokenId !== null && this.#length === settings.maxLength - 1;
  }

  advance(candidates: Candidates, rows: Int32Array): boolean {
    return this.#step(this.#bestContinuations(candidates, rows));
  }

  force(): void {
    const token = this.#start.rules.forcedEndTokenId;
    if (token === null) throw new Error("no end token is forced here");
    this.#step(this.#running.map(({ score }, parent) => ({ parent, token, score })));
  }

  results(): Hypothesis[] {
    return this.#finished
      .slice(0, this.#start.settings.nBest)
      .map(({ chain, score }) => ({ tokenIds: tokensOf(chain), score }));
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
        const score = Math.fround(running.score + (candidates.scores[index] ?? 0) + more);
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
    const { rules, settings } = this.#start;
    const full = this.#finished.length === this.width;
    if (!this.#canImprove || (full && rules.earlyStopping === true)) return;
    const scored = ended.map(({ parent, token, score }) => ({
      chain: { token, before: this.#running[parent]?.chain ?? null },
      score: score / this.#length ** settings.lengthPenalty,
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
    const farthest = rules.earlyStopping === "never" && settings.lengthPenalty > 0;
    const length = farthest ? settings.maxLength - 1 : this.#length - 1;
    return best.score / length ** settings.lengthPenalty > (worst?.score ?? unlikely);
  }
}

/** Without the start token. */
function tokensOf(chain: Chain): number[] {
  const tokens: number[] = [];
  for (let at = chain; at.before !== null; at = at.before) tokens.push(at.token);
  return tokens.reverse();
}
