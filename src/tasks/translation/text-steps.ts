/**
 * The work of preparing a text, in steps of a few milliseconds at most: sentences, and the pieces of those that are
 * longer than the model takes.
 */
import { MillraceError } from "millrace-client/wire";
import { codePointEdge, cutPlace, firstCodePointLength } from "../../prepare/text/cut.js";
import { normalLength } from "../../prepare/text/normal-form.js";
import {
  type Sentence,
  sentenceCharactersMax,
  skipWhiteSpace,
  splitSentences,
} from "../../prepare/text/split.js";
import type { LanguageCode, TextTokenizer } from "../../prepare/text/text-tokenizer.js";
import type { PrepareStep } from "../../work/piece.js";
import type { TranslateSettings } from "./input.js";
import { pieceOf, type TokenizedSentence, truncateTokens } from "./piece-of.js";

export interface TextModel {
  readonly tokenizer: TextTokenizer;
  readonly endTokenId: number;
  readonly inputTokensMax: number;
  /** Of one text, in UTF-16 units. */
  readonly inputCharactersMax: number;
}

/** One tokenizer call of a sentence; twice what the sentence may have, for normal forms are a little longer at times. */
const callCharactersMax = 2 * sentenceCharactersMax;

const pause: PrepareStep = { kind: "pause" };

export function* textSteps(
  text: string,
  at: { readonly index: number; readonly settings: TranslateSettings },
  model: TextModel,
): Generator<PrepareStep> {
  try {
    yield* new TextWork(model, at.settings, `texts[${at.index}]`).steps(text);
  } catch (error) {
    if (!(error instanceof MillraceError)) throw error;
    yield { kind: "error", error: error.toWire() };
  }
}

/**
 * Where `splitSentences` always cuts, and what comes behind is a letter, of which every tokenizer makes something: behind
 * `!` and `?`, behind a stop after a word that is no abbreviation, and at the end of a line. No run of white space is read
 * from more than one place: the time is that of the text's length, whatever the text.
 */
const surelyCut =
  /(?:[!?]|[a-z]{7}\.)[ \t]+(?=[A-Z])|[。！？](?=\p{Script=Han})|[\n\r][ \t]*(?=[A-Za-z\p{Script=Han}])/gu;
/** Cuts that are counted in one step: some hundred microseconds. */
const countedCuts = 1_000;
const countedCharacters = 64 * 1024;

/**
 * At least so many pieces come of the text: a look for what surely ends a sentence, which takes some nanoseconds a
 * character. Nothing for a text that will be refused, or is kept whole.
 */
export function* leastPiecesOfText(
  text: string,
  { truncate, split }: Pick<TranslateSettings, "truncate" | "split">,
  inputCharactersMax: number,
): Generator<number> {
  if (!split || (text.length > inputCharactersMax && !truncate)) return;
  const read = Math.min(text.length, inputCharactersMax);
  for (let from = 0; from < read; from += countedCharacters) {
    let cuts = 0;
    // What stands across the edge is not counted: there are as many at least.
    const part = text.slice(from, Math.min(read, from + countedCharacters));
    for (const _ of part.matchAll(surelyCut)) {
      cuts += 1;
      if (cuts % countedCuts === 0) yield countedCuts;
    }
    yield cuts % countedCuts;
  }
}

class TextWork {
  readonly #model: TextModel;
  readonly #settings: TranslateSettings;
  readonly #param: string;
  #prefix = "";
  /** What the text says of the language to translate to: every piece of it needs that. */
  #language: LanguageCode | null = null;
  /** The piece before the present one: the white space behind it may still grow. */
  #held: TokenizedSentence | null = null;

  constructor(model: TextModel, settings: TranslateSettings, param: string) {
    this.#model = model;
    this.#settings = settings;
    this.#param = param;
  }

  *steps(whole: string): Generator<PrepareStep> {
    const { truncate, split } = this.#settings;
    const { inputCharactersMax } = this.#model;
    const tooLong = whole.length > inputCharactersMax;
    if (tooLong && !truncate) {
      throw this.#tooLong(`${whole.length} characters; the limit is ${inputCharactersMax}`);
    }
    const text = this.#withoutLanguage(
      tooLong ? whole.slice(0, codePointEdge(whole, inputCharactersMax)) : whole,
    );
    this.#prefix = text.slice(0, skipWhiteSpace(text, 0));
    let truncated = tooLong;
    if (split) {
      for (const sentence of splitSentences(text)) yield* this.#fit(sentence);
    } else {
      truncated = (yield* this.#whole(text)) || truncated;
    }
    if (this.#held !== null) yield this.#piece(this.#held);
    yield { kind: "end", note: { prefix: this.#prefix, truncated } };
  }

  #withoutLanguage(text: string): string {
    const start = skipWhiteSpace(text, 0);
    this.#language = this.#model.tokenizer.languageCode(text.slice(start));
    if (this.#language === null) return text;
    const end = start + this.#language.text.length;
    return text.slice(0, start) + text.slice(skipWhiteSpace(text, end));
  }

  #encode(text: string): number[] {
    const tokenIds = this.#model.tokenizer.encode(text);
    return this.#language === null ? tokenIds : [this.#language.id, ...tokenIds];
  }

  /** The sentence as one piece, or cut into as many as the model's limit asks for. */
  *#fit(sentence: Sentence): Generator<PrepareStep> {
    const { inputTokensMax } = this.#model;
    let rest = sentence.text;
    /** Of the rest; estimated from the ratio so far, so that a long rest is not encoded again for each piece. */
    let tokens = 0;
    const characters = normalLength(rest);
    // Characters that stand for many: one call for all of them would take as long as for those. So many are too long.
    if (characters > callCharactersMax) tokens = characters;
    for (;;) {
      if (tokens < inputTokensMax * 1.2) {
        const tokenIds = this.#encode(rest);
        if (tokenIds.length <= inputTokensMax) {
          yield this.#add(tokenIds, rest, sentence.joiner);
          return;
        }
        tokens = tokenIds.length;
        yield pause;
      }
      const head = yield* this.#head(rest, tokens);
      const next = skipWhiteSpace(rest, head.text.length);
      yield this.#add(head.tokenIds, head.text, rest.slice(head.text.length, next));
      tokens *= 1 - next / rest.length;
      rest = rest.slice(next);
    }
  }

  /** A beginning of the text that the model takes; how many tokens the text has says where to look. */
  *#head(
    text: string,
    tokens: number,
  ): Generator<PrepareStep, { readonly text: string; readonly tokenIds: readonly number[] }> {
    const { inputTokensMax } = this.#model;
    let before = Math.floor((text.length * inputTokensMax) / tokens);
    for (;;) {
      const place = cutPlace(text, before);
      const head = text.slice(0, place).trimEnd();
      const tokenIds = this.#encode(head);
      if (tokenIds.length <= inputTokensMax) return { text: head, tokenIds };
      if (place <= firstCodePointLength(text)) {
        throw this.#tooLong(
          `a character of ${tokenIds.length} tokens; the limit is ${inputTokensMax}`,
        );
      }
      before = Math.min(place - 1, Math.floor((place * inputTokensMax) / tokenIds.length));
      yield pause;
    }
  }

  /** The text as one piece; returns whether it was cut. */
  *#whole(text: string): Generator<PrepareStep, boolean> {
    const { inputTokensMax, tokenizer } = this.#model;
    const { truncate } = this.#settings;
    const core = text.trim();
    const joiner = text.slice(this.#prefix.length + core.length);
    if (core === "") return false;
    // So many characters without a run of white space are more than the limit's tokens, whatever they say.
    const charactersMax = inputTokensMax * tokenizer.tokenCharactersMax + sentenceCharactersMax;
    const packed = core.length > charactersMax ? core.replace(/\s+/g, " ") : core;
    let head =
      packed.length > charactersMax
        ? packed.slice(0, codePointEdge(packed, charactersMax))
        : packed;
    // Characters that stand for many: what is left is still over the limit.
    while (normalLength(head) > 2 * charactersMax) {
      head = head.slice(0, codePointEdge(head, Math.floor(head.length / 2)));
    }
    const tokenIds = this.#encode(head);
    if (tokenIds.length <= inputTokensMax && head.length === packed.length) {
      yield this.#add(tokenIds, core, joiner);
      return false;
    }
    if (!truncate) {
      const tokens = head.length === packed.length ? tokenIds.length : `over ${inputTokensMax}`;
      throw this.#tooLong(`${tokens} tokens; the limit is ${inputTokensMax}`);
    }
    yield this.#add(truncateTokens(tokenIds, inputTokensMax), core, joiner);
    return true;
  }

  /** Takes the next piece and gives out the one before it, whose joiner is complete now. */
  #add(tokenIds: readonly number[], text: string, joiner: string): PrepareStep {
    const before = this.#held;
    const own = this.#language === null ? tokenIds : tokenIds.slice(1);
    if (own.every((id) => id === this.#model.endTokenId)) {
      // The tokenizer sees nothing in it, so the model shall not invent a translation: it is kept as it is.
      if (before === null) this.#prefix += text + joiner;
      else this.#held = { ...before, joiner: before.joiner + text + joiner };
      return pause;
    }
    this.#held = { tokenIds, joiner };
    return before === null ? pause : this.#piece(before);
  }

  #piece(sentence: TokenizedSentence): PrepareStep {
    return { kind: "piece", piece: pieceOf(sentence, this.#settings) };
  }

  #tooLong(what: string): MillraceError {
    return new MillraceError("input_too_long", `${this.#param} has ${what}`, {
      param: this.#param,
    });
  }
}
