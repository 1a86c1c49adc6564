/**
 * Texts as tokens and back, and nothing else: what every model that reads text can do without its engine. What comes of an input
 * is in the note of its end, as columns of numbers; it becomes objects when the result is joined.
 */
import { MillraceError, type TextToken } from "millrace-client/wire";
import { isJsonObject, type JsonObject, type JsonValue } from "../../work/payload.js";
import type { PrepareStep } from "../../work/piece.js";
import { normalLength } from "./normal-form.js";
import { leadOf, partsOf } from "./text-parts.js";
import type { TextTokenizer } from "./text-tokenizer.js";

export interface TokenTextsOptions {
  readonly tokenizer: TextTokenizer;
  /** Ids are below this. */
  readonly vocabulary: number;
  /** Of one text, in UTF-16 units; and so many ids at the most. */
  readonly inputCharactersMax: number;
}

/** Tokenising takes that much longer than splitting a text does, which the bound of the event loop was made for. */
const weightPerCharacter = 8;
/** An object of five fields in a list, and what it is in a reply. */
const bytesOfToken = 160;

export class TokenTexts {
  readonly #options: TokenTextsOptions;
  readonly #frame: { readonly before: readonly number[]; readonly after: readonly number[] };

  /** Throws what the tokenizer stumbles over. */
  constructor(options: TokenTextsOptions) {
    this.#options = options;
    this.#frame = options.tokenizer.textFrame();
  }

  weighText(text: string): number {
    return weightPerCharacter * normalLength(text);
  }

  weighIds(tokenIds: readonly number[]): number {
    return tokenIds.length;
  }

  *tokenize(
    text: string,
    { param, addSpecial }: { readonly param: string; readonly addSpecial: boolean },
  ): Generator<PrepareStep> {
    const { tokenizer, inputCharactersMax } = this.#options;
    if (text.length > inputCharactersMax) {
      const what = `has ${text.length} characters; the limit is ${inputCharactersMax}`;
      yield refuse("input_too_long", `${param} ${what}`, param);
      return;
    }
    const ids: number[] = [];
    const tokens: string[] = [];
    let characters = 0;
    for (const part of partsOf(text)) {
      const lead = leadOf(part, text.slice(0, characters));
      const found = lead === null ? tokenizer.tokenize(part) : tokenizer.tokenizeBehind(lead, part);
      for (const id of found.ids) ids.push(id);
      for (const token of found.tokens) tokens.push(token);
      characters += part.length;
      yield { kind: "pause" };
    }
    const places = tokenizer.placesOf(text, tokens).flatMap((place) => {
      return place === null ? [-1, -1] : [place.start, place.stop];
    });
    const { before, after } = addSpecial ? this.#frame : { before: [], after: [] };
    const note = { ids: [...before, ...ids, ...after], places, before: before.length };
    yield { kind: "end", note, bytes: bytesOfToken * note.ids.length };
  }

  /** Of a note of `tokenize`. */
  tokensOf(note: JsonValue): (TextToken & JsonObject)[] {
    const { ids, places, before } = readNote(note);
    return ids.map((id, at) => {
      const text = this.#options.tokenizer.tokenOf(id);
      const place = at - before;
      const special = place < 0 || 2 * place >= places.length;
      const [start = -1, stop = -1] = special ? [] : places.slice(2 * place, 2 * place + 2);
      const told = start < 0 ? { start: null, stop: null } : { start, stop };
      return { id, text, special, ...told };
    });
  }

  *detokenize(
    tokenIds: readonly number[],
    { param, skipSpecial }: { readonly param: string; readonly skipSpecial: boolean },
  ): Generator<PrepareStep> {
    const { tokenizer, vocabulary, inputCharactersMax } = this.#options;
    if (tokenIds.length > inputCharactersMax) {
      const what = `has ${tokenIds.length} tokens; the limit is ${inputCharactersMax}`;
      yield refuse("input_too_long", `${param} ${what}`, param);
      return;
    }
    const wrong = tokenIds.findIndex((id) => id >= vocabulary);
    if (wrong !== -1) {
      const place = `${param}[${wrong}]`;
      const what = `${place} is ${tokenIds[wrong]}; the vocabulary has ${vocabulary} tokens`;
      yield refuse("token_out_of_range", what, place);
      return;
    }
    const text = tokenizer.textOf(tokenIds, { skipSpecial });
    yield { kind: "end", note: { text }, bytes: 4 * text.length };
  }

  /** Of a note of `detokenize`. */
  textOf(note: JsonValue): string {
    if (!isJsonObject(note) || typeof note["text"] !== "string") throw wrongNote();
    return note["text"];
  }
}

interface TokenNote {
  readonly ids: readonly number[];
  /** Start and stop of each token that is not special; -1 where they cannot be told. */
  readonly places: readonly number[];
  /** Special tokens in front. */
  readonly before: number;
}

function readNote(note: JsonValue): TokenNote {
  if (!isJsonObject(note)) throw wrongNote();
  const { ids, places, before } = note;
  if (!Array.isArray(ids) || !Array.isArray(places) || typeof before !== "number") {
    throw wrongNote();
  }
  return { ids: ids as readonly number[], places: places as readonly number[], before };
}

function wrongNote(): Error {
  return new Error("the note is not one of a text's tokens");
}

function refuse(
  code: "input_too_long" | "token_out_of_range",
  message: string,
  param: string,
): PrepareStep {
  return { kind: "error", error: new MillraceError(code, message, { param }).toWire() };
}
