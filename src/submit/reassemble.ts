/**
 * Sentences of a text back into one text, in order, whatever order they ended in.
 *
 *   prefix · sentence 0 · joiner 0 · sentence 1 · joiner 1 · …
 */
import type { Alternative, TranslateItem, WireError } from "millrace-client/wire";
import type { PreparedPiece } from "../prepare/prepared.js";
import type { Hypothesis } from "../work/generation.js";

export interface TextParts {
  readonly pieces: readonly PreparedPiece[];
  readonly prefix: string;
  readonly truncated: boolean;
  readonly nBest: number;
  readonly detokenize: (tokenIds: readonly number[]) => string;
}

export class TextAssembly {
  readonly #parts: TextParts;
  readonly #hypotheses: (readonly Hypothesis[] | undefined)[];
  #missing: number;
  #ended = false;

  constructor(parts: TextParts) {
    this.#parts = parts;
    this.#hypotheses = parts.pieces.map(() => undefined);
    this.#missing = parts.pieces.length;
  }

  /** The whole text once its last sentence is there; null before, and after it failed. */
  add(piece: number, hypotheses: readonly Hypothesis[]): TranslateItem | null {
    if (this.#ended) return null;
    this.#hypotheses[piece] = hypotheses;
    this.#missing -= 1;
    return this.whenComplete();
  }

  /** Of a text without sentences at once, of any other after the last `add`. */
  whenComplete(): TranslateItem | null {
    if (this.#missing > 0 || this.#ended) return null;
    this.#ended = true;
    return this.#join();
  }

  /** One sentence failed, and its text with it; null where that was said already. */
  fail(error: WireError): TranslateItem | null {
    if (this.#ended) return null;
    this.#ended = true;
    return { error };
  }

  #join(): TranslateItem {
    const { pieces, truncated, nBest } = this.#parts;
    const sentences = this.#hypotheses.filter((hypotheses) => hypotheses !== undefined);
    const best = this.#rank(sentences, 0);
    const ranks = Math.max(0, ...sentences.map((hypotheses) => hypotheses.length));
    const alternatives = Array.from({ length: Math.min(nBest, ranks) }, (_, rank) =>
      this.#rank(sentences, rank),
    );
    return {
      ...best,
      inputTokens: sum(pieces.map(({ tokenIds }) => tokenIds.length)),
      outputTokens: sum(sentences.map((hypotheses) => hypotheses[0]?.tokenIds.length ?? 0)),
      sentences: pieces.length,
      ...(nBest > 1 ? { alternatives } : {}),
      ...(truncated ? { truncated } : {}),
    };
  }

  /** The n-th of each sentence, joined; a sentence with fewer lends its last. */
  #rank(sentences: readonly (readonly Hypothesis[])[], rank: number): Alternative {
    const { pieces, prefix, detokenize } = this.#parts;
    if (sentences.length === 0) return { text: "", score: 0 };
    const chosen = sentences.map((hypotheses) => hypotheses[Math.min(rank, hypotheses.length - 1)]);
    const texts = chosen.map(
      (one, at) => detokenize(one?.tokenIds ?? []) + (pieces[at]?.joiner ?? ""),
    );
    const score = sum(chosen.map((one) => one?.score ?? 0)) / chosen.length;
    return { text: prefix + texts.join(""), score };
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
