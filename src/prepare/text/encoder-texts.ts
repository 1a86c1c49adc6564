/**
 * Texts and pairs of texts as what an encoder takes, for every task on such models: tokens framed by the special ones, cut
 * as transformers does it where that is asked for (a single text at its end, of a pair the longer one first).
 */
import { join } from "node:path";
import { MillraceError, type TextOrPair } from "millrace-client/wire";
import { type EmbeddingWish, encoderPiece } from "../../work/encoding.js";
import { isJsonObject, type JsonValue } from "../../work/payload.js";
import type { PrepareStep } from "../../work/piece.js";
import { codePointEdge } from "./cut.js";
import { normalLength } from "./normal-form.js";
import type { SpecialTokens } from "./special-tokens.js";
import { partsOf } from "./text-parts.js";
import { TextTokenizer, unusableTokenizer } from "./text-tokenizer.js";

export interface EncoderTextsOptions {
  /** Of a tokenizer.json. */
  readonly path: string;
  readonly unknownTokenId: number | null;
  /** Of an input, special tokens counted. */
  readonly inputTokensMax: number;
  /** Kinds of tokens that the model tells apart. */
  readonly tokenTypes: number;
  /** Of one text, in UTF-16 units. */
  readonly inputCharactersMax: number;
}

/** What the folder of a model that reads texts in one go says of them. */
interface EncoderTextModel {
  readonly files: { readonly tokenizer: string };
  readonly limits: { readonly inputTokensMax: number };
  readonly shape: { readonly tokenTypes: number };
  readonly unknownTokenId: number | null;
}

export interface EncoderTextAt {
  /** The input's name for the caller, such as `texts[3]`. */
  readonly param: string;
  readonly truncate: boolean;
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

const wordBehindSpace = /^ [\p{L}\p{N}]/u;

const pause: PrepareStep = { kind: "pause" };

export class EncoderTexts {
  readonly #tokenizer: TextTokenizer;
  readonly #special: SpecialTokens;
  readonly #options: EncoderTextsOptions;
  readonly #kept = new Map<string, TextTokens>();

  private constructor(tokenizer: TextTokenizer, options: EncoderTextsOptions) {
    this.#tokenizer = tokenizer;
    this.#options = options;
    this.#special = tokenizer.specialTokens();
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

  weigh(input: TextOrPair): number {
    const texts: readonly string[] = typeof input === "string" ? [input] : input;
    return weightPerCharacter * texts.reduce((sum, text) => sum + normalLength(text), 0);
  }

  /** One piece, or an error. */
  *steps(input: TextOrPair, at: EncoderTextAt): Generator<PrepareStep> {
    const texts = typeof input === "string" ? [input] : input;
    try {
      const read: TextTokens[] = [];
      for (const [index, text] of texts.entries()) {
        const isQuery = texts.length === 2 && index === 0;
        read.push(yield* isQuery ? this.#keptTokens(text, at) : this.#tokensOf(text, at));
      }
      const { ids, truncated } = this.#fitted(read, at);
      const { tokens, types: told } = this.#special.around(ids);
      if (tokens.length === 0) throw refusal("input_empty", at, "has no tokens");
      const types = this.#options.tokenTypes > 1 ? told : null;
      const resultBytes = at.resultBytes(tokens.length);
      const piece = encoderPiece({ tokens, types, embedding: at.embedding }, resultBytes);
      yield { kind: "piece", piece };
      yield { kind: "end", note: { inputTokens: tokens.length, truncated } };
    } catch (error) {
      if (!(error instanceof MillraceError)) throw error;
      yield { kind: "error", error: error.toWire() };
    }
  }

  /** The text that many pairs begin with is tokenised once. */
  *#keptTokens(text: string, at: EncoderTextAt): Generator<PrepareStep, TextTokens> {
    const key = `${at.truncate ? "cut" : "all"} ${text}`;
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
    const read = isTooLong ? text.slice(0, codePointEdge(text, inputCharactersMax)) : text;
    const enough = at.truncate ? inputTokensMax : countedMax * inputTokensMax;
    const ids: number[] = [];
    let characters = 0;
    for (const part of partsOf(read)) {
      for (const id of this.#partIds(part, read.slice(0, characters))) ids.push(id);
      characters += part.length;
      if (ids.length > enough) break;
      yield pause;
    }
    return { ids, isAll: characters === text.length };
  }

  /** Of a part of a text; one that begins with a space is cut where every tokenizer cuts. */
  #partIds(part: string, before: string): number[] {
    const character = /.$/su.exec(before.slice(-2))?.[0];
    const isPlain = character === undefined || wordBehindSpace.test(part);
    return isPlain
      ? this.#tokenizer.encodePlain(part)
      : this.#tokenizer.encodeBehind(character, part);
  }

  #fitted(
    texts: readonly TextTokens[],
    at: EncoderTextAt,
  ): { readonly ids: readonly (readonly number[])[]; readonly truncated: boolean } {
    const { inputTokensMax } = this.#options;
    const special = this.#special.count(texts.length);
    const room = inputTokensMax - special;
    const ids = texts.map((text) => text.ids);
    const length = ids.reduce((sum, each) => sum + each.length, 0);
    const isAll = texts.every((text) => text.isAll);
    if (length <= room) return { ids, truncated: !isAll };
    if (!at.truncate) {
      const count = isAll ? length + special : `over ${length + special - 1}`;
      throw refusal("input_too_long", at, `has ${count} tokens; the limit is ${inputTokensMax}`);
    }
    const lengths = longestFirst(
      ids.map((each) => each.length),
      room,
    );
    return { ids: ids.map((each, index) => each.slice(0, lengths[index])), truncated: true };
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
