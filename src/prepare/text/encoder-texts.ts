/**
 * Texts and pairs of texts as what an encoder takes, for every task on such models: tokens framed by the special ones, cut
 * as transformers does it where that is asked for (a single text at one end, of a pair the longer one first). A caller may
 * also send tokens of the vocabulary, which are framed and cut likewise, or ids, which are taken as they are.
 */
import { join } from "node:path";
import { MillraceError, type TextOrPair } from "millrace-client/wire";
import { type EmbeddingWish, encoderPiece } from "../../work/encoding.js";
import { isJsonObject, type JsonValue } from "../../work/payload.js";
import type { PrepareStep } from "../../work/piece.js";
import { codePointEdge } from "./cut.js";
import { normalLength } from "./normal-form.js";
import type { FramedTokens, SpecialTokens } from "./special-tokens.js";
import { leadOf, partsOf } from "./text-parts.js";
import { TextTokenizer, unusableTokenizer } from "./text-tokenizer.js";
import { TokenTexts } from "./token-texts.js";

export interface EncoderTextsOptions {
  /** Of a tokenizer.json. */
  readonly path: string;
  readonly unknownTokenId: number | null;
  /** Of an input, special tokens counted. */
  readonly inputTokensMax: number;
  /** Kinds of tokens that the model tells apart. */
  readonly tokenTypes: number;
  /** Ids are below this. */
  readonly vocabulary: number;
  /** Of one text, in UTF-16 units. */
  readonly inputCharactersMax: number;
}

/** What the folder of a model that reads texts in one go says of them. */
interface EncoderTextModel {
  readonly files: { readonly tokenizer: string };
  readonly limits: { readonly inputTokensMax: number };
  readonly shape: { readonly tokenTypes: number; readonly vocabulary: number };
  readonly unknownTokenId: number | null;
}

/** Which end of a text stays when it is cut is the other one. */
export type TruncateFrom = (typeof truncateEnds)[number];

export const truncateEnds = ["end", "start"] as const;

/** What a caller may send instead of a text. */
export type EncoderTokens =
  /** Special tokens included. */
  | { readonly tokenIds: readonly number[] }
  /** Of one text, or of each of a pair. */
  | { readonly tokens: readonly (readonly string[])[] };

export type EncoderTextInput = TextOrPair | EncoderTokens;

export interface EncoderTextAt {
  /** The input's name for the caller, such as `texts[3]`. */
  readonly param: string;
  readonly truncate: boolean;
  /** Default: `end`. */
  readonly truncateFrom?: TruncateFrom;
  /** Special tokens counted; the model's own limit, where that is less. Default: the model's. */
  readonly maxTokens?: number;
  /** Special tokens have no weight in pooling. Default: they have. */
  readonly maskSpecial?: boolean;
  /** The tokens' texts become part of the result. */
  readonly returnTokens?: boolean;
  /** Null: logits are wanted. */
  readonly embedding: EmbeddingWish | null;
  /** About what the result of an input of so many tokens takes in a reply. */
  readonly resultBytes: (tokens: number) => number;
}

/** What every task says of an input; the wire's names. */
export interface InputFacts {
  readonly inputTokens: number;
  readonly truncated?: true;
}

/** Tokenising takes that much longer than splitting a text does, which the bound of the event loop was made for. */
const weightPerCharacter = 8;
/** Where a text is too long, it is counted no further than this times the limit. */
const countedMax = 4;
/** First texts of pairs, such as queries, whose tokens are kept. */
const keptTexts = 8;
const keptCharactersMax = 16_384;

/** An id that was checked takes so much less than a character that is tokenised. */
const idsPerCharacter = 64;
/** What a token is in a reply beside its letters. */
const bytesOfToken = 16;

const pause: PrepareStep = { kind: "pause" };

export class EncoderTexts {
  /** The same texts, for whoever wants their tokens and nothing of the model. */
  readonly tokens: TokenTexts;
  readonly #tokenizer: TextTokenizer;
  readonly #special: SpecialTokens;
  readonly #options: EncoderTextsOptions;
  readonly #kept = new Map<string, TextTokens>();

  private constructor(tokenizer: TextTokenizer, options: EncoderTextsOptions) {
    this.#tokenizer = tokenizer;
    this.#options = options;
    this.#special = tokenizer.specialTokens();
    const { vocabulary, inputCharactersMax } = options;
    this.tokens = new TokenTexts({ tokenizer, vocabulary, inputCharactersMax });
    if (this.#special.count(2) >= options.inputTokensMax) {
      const message = `inputTokensMax ${options.inputTokensMax} leaves no room beside special tokens`;
      throw new MillraceError("model_folder_invalid", message);
    }
  }

  /** Of the model in this folder; throws as `open`. */
  static async ofModel(
    dir: string,
    { files, limits, shape, unknownTokenId }: EncoderTextModel,
    { inputCharactersMax }: Pick<EncoderTextsOptions, "inputCharactersMax">,
  ): Promise<EncoderTexts> {
    return await EncoderTexts.open({
      path: join(dir, files.tokenizer),
      unknownTokenId,
      inputTokensMax: limits.inputTokensMax,
      tokenTypes: shape.tokenTypes,
      vocabulary: shape.vocabulary,
      inputCharactersMax,
    });
  }

  /** Throws `model_folder_invalid` where the file is missing, or is no tokenizer that we can run. */
  static async open(options: EncoderTextsOptions): Promise<EncoderTexts> {
    const { path, unknownTokenId } = options;
    const tokenizer = await TextTokenizer.open({ path, unknownTokenId });
    try {
      return new EncoderTexts(tokenizer, options);
    } catch (cause) {
      throw unusableTokenizer(path, cause);
    }
  }

  weigh(input: EncoderTextInput): number {
    if (isTokens(input)) {
      if ("tokenIds" in input) return input.tokenIds.length / idsPerCharacter;
      return input.tokens.reduce((sum, { length }) => sum + length, 0);
    }
    const texts: readonly string[] = typeof input === "string" ? [input] : input;
    return weightPerCharacter * texts.reduce((sum, text) => sum + normalLength(text), 0);
  }

  /** One piece, or an error. */
  *steps(input: EncoderTextInput, at: EncoderTextAt): Generator<PrepareStep> {
    try {
      const { tokens, types, special, truncated } = yield* this.#framed(input, at);
      if (tokens.length === 0) throw refusal("input_empty", at, "has no tokens");
      const told = this.#options.tokenTypes > 1 ? types : null;
      const masked = at.maskSpecial === true ? { masked: special } : {};
      const asTold = at.returnTokens === true ? bytesOfTokens(this.tokenTexts(tokens)) : 0;
      const resultBytes = at.resultBytes(tokens.length) + asTold;
      const encoded = { tokens, types: told, embedding: at.embedding, ...masked };
      yield { kind: "piece", piece: encoderPiece(encoded, resultBytes) };
      yield { kind: "end", note: { inputTokens: tokens.length, truncated } };
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      yield { kind: "error", error: error.toWire() };
    }
  }

  /** Of a piece's ids, as the vocabulary has them. */
  tokenTexts(ids: Int32Array): string[] {
    return Array.from(ids, (id) => this.#tokenizer.tokenOf(id));
  }

  *#framed(input: EncoderTextInput, at: EncoderTextAt): Generator<PrepareStep, FramedText> {
    if (isTokens(input) && "tokenIds" in input) return this.#ownIds(input.tokenIds, at);
    const read: TextTokens[] = [];
    if (isTokens(input)) {
      for (const [index, tokens] of input.tokens.entries()) {
        const param = input.tokens.length === 2 ? `${at.param}[${index}]` : at.param;
        read.push({ ids: this.#idsOf(tokens, param), isAll: true });
      }
    } else {
      const texts = typeof input === "string" ? [input] : input;
      for (const [index, text] of texts.entries()) {
        const isQuery = texts.length === 2 && index === 0;
        read.push(yield* isQuery ? this.#keptTokens(text, at) : this.#tokensOf(text, at));
      }
    }
    const { ids, truncated } = this.#fitted(read, at);
    return { ...this.#special.around(ids), truncated };
  }

  /** As they came, special ones included; what is too long is cut at its end or its start, whatever stands there. */
  #ownIds(ids: readonly number[], at: EncoderTextAt): FramedText {
    const { vocabulary } = this.#options;
    const wrong = ids.findIndex((id) => id >= vocabulary);
    if (wrong !== -1) {
      const param = `${at.param}[${wrong}]`;
      const message = `${param} is ${ids[wrong]}; the vocabulary has ${vocabulary} tokens`;
      throw new MillraceError("token_out_of_range", message, { param });
    }
    const limit = this.#limit(at);
    const truncated = ids.length > limit;
    if (truncated && !at.truncate) {
      throw refusal("input_too_long", at, `has ${ids.length} tokens; the limit is ${limit}`);
    }
    const kept = truncated ? cut(ids, limit, at) : ids;
    const special = this.#special.placesIn(kept);
    return { tokens: Int32Array.from(kept), types: null, special, truncated };
  }

  #idsOf(tokens: readonly string[], param: string): readonly number[] {
    return tokens.map((token, index) => {
      const id = this.#tokenizer.idOf(token);
      if (id !== null) return id;
      const place = `${param}[${index}]`;
      const message = `${place} is no token of the model, which has none for unknown ones`;
      throw new MillraceError("bad_request", message, { param: place });
    });
  }

  #limit({ maxTokens }: EncoderTextAt): number {
    const { inputTokensMax } = this.#options;
    return Math.min(inputTokensMax, maxTokens ?? inputTokensMax);
  }

  /** The text that many pairs begin with is tokenised once. */
  *#keptTokens(text: string, at: EncoderTextAt): Generator<PrepareStep, TextTokens> {
    const how = at.truncate ? `${at.truncateFrom ?? "end"} ${this.#limit(at)}` : "all";
    const key = `${how} ${text}`;
    const kept = this.#kept.get(key);
    const tokens = kept ?? (yield* this.#tokensOf(text, at));
    // The one that was used last stands last.
    this.#kept.delete(key);
    if (text.length <= keptCharactersMax) this.#kept.set(key, tokens);
    const [oldest] = this.#kept.keys();
    if (this.#kept.size > keptTexts && oldest !== undefined) this.#kept.delete(oldest);
    return tokens;
  }

  /** As many as can matter: when cutting, one more than could stay. */
  *#tokensOf(text: string, at: EncoderTextAt): Generator<PrepareStep, TextTokens> {
    const { inputCharactersMax, inputTokensMax } = this.#options;
    const isTooLong = text.length > inputCharactersMax;
    if (isTooLong && !at.truncate) {
      const what = `has ${text.length} characters; the limit is ${inputCharactersMax}`;
      throw refusal("input_too_long", at, what);
    }
    const fromStart = at.truncate && at.truncateFrom === "start";
    const read = isTooLong ? within(text, inputCharactersMax, fromStart) : text;
    const enough = at.truncate ? this.#limit(at) : countedMax * inputTokensMax;
    let ids: number[] = [];
    let characters = 0;
    let isAll = !isTooLong;
    for (const part of partsOf(read)) {
      for (const id of this.#partIds(part, read.slice(0, characters))) ids.push(id);
      characters += part.length;
      if (ids.length > enough) {
        isAll &&= characters === read.length;
        if (!fromStart) break;
        // What stands at the start goes first: one more than can stay is enough to know that.
        ids = ids.slice(-enough - 1);
      }
      yield pause;
    }
    return { ids, isAll };
  }

  /** Of a part of a text. */
  #partIds(part: string, before: string): number[] {
    const lead = leadOf(part, before);
    return lead === null
      ? this.#tokenizer.encodePlain(part)
      : this.#tokenizer.encodeBehind(lead, part);
  }

  #fitted(
    texts: readonly TextTokens[],
    at: EncoderTextAt,
  ): { readonly ids: readonly (readonly number[])[]; readonly truncated: boolean } {
    const limit = this.#limit(at);
    const special = this.#special.count(texts.length);
    const room = limit - special;
    const ids = texts.map((text) => text.ids);
    const length = ids.reduce((sum, each) => sum + each.length, 0);
    const isAll = texts.every((text) => text.isAll);
    if (length <= room) return { ids, truncated: !isAll };
    if (!at.truncate || room < 0) {
      const count = isAll ? length + special : `over ${length + special - 1}`;
      throw refusal("input_too_long", at, `has ${count} tokens; the limit is ${limit}`);
    }
    const lengths = longestFirst(
      ids.map((each) => each.length),
      room,
    );
    const left = ids.map((each, index) => cut(each, lengths[index] ?? 0, at));
    return { ids: left, truncated: true };
  }
}

/** Of an input's `end`. */
export function inputFacts(note: JsonValue): InputFacts {
  if (!isJsonObject(note) || typeof note["inputTokens"] !== "number") {
    throw new Error("the note is not one of an encoder's text");
  }
  const { inputTokens } = note;
  return note["truncated"] === true ? { inputTokens, truncated: true } : { inputTokens };
}

interface TextTokens {
  readonly ids: readonly number[];
  /** Of the whole text. */
  readonly isAll: boolean;
}

interface FramedText extends FramedTokens {
  readonly truncated: boolean;
}

function isTokens(input: EncoderTextInput): input is EncoderTokens {
  return typeof input === "object" && !Array.isArray(input);
}

/** What is left of a text that was cut to so many tokens. */
function cut(
  ids: readonly number[],
  length: number,
  { truncateFrom }: EncoderTextAt,
): readonly number[] {
  if (truncateFrom !== "start") return ids.slice(0, length);
  return length === 0 ? [] : ids.slice(-length);
}

/** So many characters of the text, no pair of surrogates parted. */
function within(text: string, characters: number, fromStart: boolean): string {
  if (!fromStart) return text.slice(0, codePointEdge(text, characters));
  const rest = text.slice(-characters);
  return /^[\udc00-\udfff]/.test(rest) ? rest.slice(1) : rest;
}

function bytesOfTokens(tokens: readonly string[]): number {
  return tokens.reduce((sum, { length }) => sum + length + bytesOfToken, 0);
}

/**
 * What is left of one text or of two, so that all is within `room`: as the tokenizers library has it, the longer one gives
 * first, and of two that are both too long each keeps half (the one that was longer, or came second, the odd one).
 */
function longestFirst(lengths: readonly number[], room: number): readonly number[] {
  const [first = 0, second] = lengths;
  if (second === undefined) return [Math.min(first, room)];
  const isSwapped = first > second;
  let shorter = isSwapped ? second : first;
  let longer = shorter > room ? shorter : Math.max(shorter, room - shorter);
  if (shorter + longer > room) {
    shorter = Math.floor(room / 2);
    longer = shorter + (room % 2);
  }
  return isSwapped ? [longer, shorter] : [shorter, longer];
}

function refusal(
  code: "input_empty" | "input_too_long",
  { param }: EncoderTextAt,
  what: string,
): MillraceError {
  return new MillraceError(code, `${param} ${what}`, { param });
}
