/**
 * The work of preparing texts, in steps of a few milliseconds at most. Whoever runs the generator decides when
 * to go on: the event loop between two slices, or the thread between two messages.
 */
import { MillraceError, type WireError } from "millrace-client/wire";
import type { PreparedPiece, PreparedText } from "./prepared.js";
import { codePointEdge, cutPlace, firstCodePointLength } from "./text/cut.js";
import {
  type Sentence,
  sentenceCharactersMax,
  skipWhiteSpace,
  splitSentences,
} from "./text/split.js";
import type { TextTokenizer } from "./text/text-tokenizer.js";

export type PrepareStep =
  /** Work was done and nothing is ready yet. */
  | { readonly kind: "pause" }
  | { readonly kind: "piece"; readonly piece: PreparedPiece }
  /** The pieces since the last end are the text's. */
  | { readonly kind: "end"; readonly prefix: string; readonly truncated: boolean }
  /** The pieces since the last end are void. */
  | { readonly kind: "error"; readonly error: WireError };

export interface StepSettings {
  readonly split: boolean;
  readonly truncate: boolean;
  readonly inputTokensMax: number;
  /** Of one text, in UTF-16 units. */
  readonly itemCharactersMax: number;
}

const pause: PrepareStep = { kind: "pause" };

/** One `end` or `error` for each text, in order. `firstIndex` is the place of the first text in its request. */
export function* prepareSteps(
  texts: readonly string[],
  tokenizer: TextTokenizer,
  settings: StepSettings & { readonly firstIndex: number },
): Generator<PrepareStep> {
  for (const [offset, text] of texts.entries()) {
    const param = `texts[${settings.firstIndex + offset}]`;
    const work = new TextWork(tokenizer, settings, param);
    try {
      yield* work.steps(text);
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      yield { kind: "error", error: error.toWire() };
    }
  }
}

class TextWork {
  readonly #tokenizer: TextTokenizer;
  readonly #settings: StepSettings;
  readonly #param: string;
  #prefix = "";
  /** The piece before the present one: the white space behind it may still grow. */
  #held: PreparedPiece | null = null;

  constructor(tokenizer: TextTokenizer, settings: StepSettings, param: string) {
    this.#tokenizer = tokenizer;
    this.#settings = settings;
    this.#param = param;
  }

  *steps(whole: string): Generator<PrepareStep> {
    const { itemCharactersMax, truncate, split } = this.#settings;
    const tooLong = whole.length > itemCharactersMax;
    if (tooLong && !truncate) {
      throw this.#tooLong(`${whole.length} characters; the limit is ${itemCharactersMax}`);
    }
    const text = tooLong ? whole.slice(0, codePointEdge(whole, itemCharactersMax)) : whole;
    this.#prefix = text.slice(0, skipWhiteSpace(text, 0));
    let truncated = tooLong;
    if (split) {
      for (const sentence of splitSentences(text)) yield* this.#fit(sentence);
    } else {
      truncated = (yield* this.#whole(text)) || truncated;
    }
    if (this.#held !== null) yield { kind: "piece", piece: this.#held };
    yield { kind: "end", prefix: this.#prefix, truncated };
  }

  /** The sentence as one piece, or cut into as many as the model's limit asks for. */
  *#fit(sentence: Sentence): Generator<PrepareStep> {
    const { inputTokensMax } = this.#settings;
    let rest = sentence.text;
    /** Of the rest; estimated from the ratio so far, so that a long rest is not encoded again for each piece. */
    let tokens = 0;
    for (;;) {
      if (tokens < inputTokensMax * 1.2) {
        const tokenIds = this.#tokenizer.encode(rest);
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
    const { inputTokensMax } = this.#settings;
    let before = Math.floor((text.length * inputTokensMax) / tokens);
    for (;;) {
      const place = cutPlace(text, before);
      const head = text.slice(0, place).trimEnd();
      const tokenIds = this.#tokenizer.encode(head);
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
    const { inputTokensMax, truncate } = this.#settings;
    const core = text.trim();
    const joiner = text.slice(this.#prefix.length + core.length);
    if (core === "") return false;
    // So many characters without a run of white space are more than the limit's tokens, whatever they say.
    const charactersMax =
      inputTokensMax * this.#tokenizer.tokenCharactersMax + sentenceCharactersMax;
    const packed = core.length > charactersMax ? core.replace(/\s+/g, " ") : core;
    const head =
      packed.length > charactersMax
        ? packed.slice(0, codePointEdge(packed, charactersMax))
        : packed;
    const tokenIds = this.#tokenizer.encode(head);
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
    if (tokenIds.every((id) => id === 0)) {
      // The tokenizer sees nothing in it, so the model shall not invent a translation: it is kept as it is.
      if (before === null) this.#prefix += text + joiner;
      else this.#held = { ...before, joiner: before.joiner + text + joiner };
      return pause;
    }
    this.#held = { tokenIds, joiner };
    return before === null ? pause : { kind: "piece", piece: before };
  }

  #tooLong(what: string): MillraceError {
    return new MillraceError("input_too_long", `${this.#param} has ${what}`, {
      param: this.#param,
    });
  }
}

/** Keeps the last token, which is the end token where the ids have one, as transformers' truncation does. */
export function truncateTokens(tokenIds: readonly number[], tokensMax: number): number[] {
  return [...tokenIds.slice(0, tokensMax - 1), ...tokenIds.slice(-1)];
}

/** Puts steps together to texts again. */
export class TextCollector {
  readonly texts: PreparedText[] = [];
  #pieces: PreparedPiece[] = [];

  add(step: PrepareStep): void {
    switch (step.kind) {
      case "pause":
        return;
      case "piece":
        this.#pieces.push(step.piece);
        return;
      case "end": {
        const { prefix, truncated } = step;
        this.texts.push({ ok: true, prefix, pieces: this.#pieces, truncated });
        break;
      }
      case "error":
        this.texts.push({ ok: false, error: step.error });
        break;
    }
    this.#pieces = [];
  }
}
