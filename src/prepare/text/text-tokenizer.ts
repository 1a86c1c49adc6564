/** READ FIRST of this folder. A model's tokenizer: text to ids and back. One call takes about a microsecond a character, so cap them first. */
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import { checkShape, readJsonFile } from "../../models/read-json.js";
import { createTokenizer, type HuggingFaceTokenizer } from "./huggingface-tokenizers.js";
import { languageCodeOf } from "./sentencepiece.js";
import {
  findSpecialTokens,
  findTextFrame,
  type SpecialTokens,
  type TextFrame,
} from "./special-tokens.js";
import { type PlaceTokens, placeTokensOf, type TokenPlace } from "./token-places.js";

export interface TextTokenizerOptions {
  /** The path of a tokenizer.json. */
  readonly path: string;
  /** Of outputs, where they have a vocabulary of their own. */
  readonly targetPath?: string;
  /** What a model writes where it has no word; decoding leaves it out. */
  readonly unknownTokenId: number | null;
}

/** The token that says what language to translate to, with its id. */
export interface LanguageCode {
  readonly text: string;
  readonly id: number;
}

/** Of a part of a text. */
export interface TokenizedText {
  readonly ids: number[];
  /** As the tokenizer cut them: an unknown one may be what stands in the text. */
  readonly tokens: string[];
}

export class TextTokenizer {
  /** The most characters that a token of the vocabulary stands for. */
  readonly tokenCharactersMax: number;
  readonly #source: HuggingFaceTokenizer;
  /** The same one, unless outputs have a vocabulary of their own. */
  readonly #target: HuggingFaceTokenizer;
  readonly #unknownTokenId: number | null;
  /** Ids of tokens such as `>>cmn<<`; most models have none. */
  readonly #languageCodes: ReadonlyMap<string, number>;
  readonly #places: PlaceTokens;

  private constructor(
    { source, target }: Record<"source" | "target", OpenedTokenizer>,
    unknownTokenId: number | null,
  ) {
    this.#source = source.tokenizer;
    this.#target = target.tokenizer;
    this.#places = placeTokensOf(source.json, (text) => source.tokenizer.normalized(text));
    this.#unknownTokenId = unknownTokenId;
    const tokens = [...source.tokenizer.get_vocab()];
    this.tokenCharactersMax = tokens.reduce(
      (longest, [token]) => Math.max(longest, token.length),
      1,
    );
    this.#languageCodes = new Map(tokens.filter(([token]) => languageCodeOf(token) === token));
  }

  /** Throws `model_folder_invalid` where a file is missing, or is no tokenizer that we can run. */
  static async open(options: TextTokenizerOptions): Promise<TextTokenizer> {
    const { path, targetPath, unknownTokenId } = options;
    const source = await openTokenizer(path);
    const target = targetPath === undefined ? source : await openTokenizer(targetPath);
    try {
      return new TextTokenizer({ source, target }, unknownTokenId);
    } catch (cause) {
      throw unusableTokenizer(path, cause);
    }
  }

  /** Ids with the special tokens that the model was trained with: Marian has the end token. */
  encode(text: string): number[] {
    return this.#source.encode(text).ids;
  }

  /** The code at the beginning of a text, where the model knows it. */
  languageCode(text: string): LanguageCode | null {
    if (this.#languageCodes.size === 0) return null;
    const code = languageCodeOf(text);
    const id = code === null ? undefined : this.#languageCodes.get(code);
    return code === null || id === undefined ? null : { text: code, id };
  }

  /** Ids of what the text itself says, to be framed with special tokens (special-tokens.ts). */
  encodePlain(text: string): number[] {
    return this.tokenize(text).ids;
  }

  /** The same of a text that goes on behind a character; see `tokenizeBehind`. */
  encodeBehind(character: string, text: string): number[] {
    return this.tokenizeBehind(character, text).ids;
  }

  /** Tokens of what the text itself says, no special ones around them. */
  tokenize(text: string): TokenizedText {
    return this.#source.encode(text, { add_special_tokens: false });
  }

  /**
   * The same of a text that goes on behind a character. Many vocabularies have a token for the beginning of a text, which must
   * not stand in the middle of one: so it is encoded with that character, whose own ids are taken off again.
   */
  tokenizeBehind(character: string, text: string): TokenizedText {
    const lead = this.tokenize(character);
    const all = this.tokenize(`${character}${text}`);
    const length = lead.ids.length;
    const isApart = length > 0 && lead.ids.every((id, at) => all.ids[at] === id);
    if (!isApart) return this.tokenize(text);
    return { ids: all.ids.slice(length), tokens: all.tokens.slice(length) };
  }

  /** Where the text's tokens stand in it (token-places.ts). */
  placesOf(text: string, tokens: readonly string[]): readonly (TokenPlace | null)[] {
    return this.#places(text, tokens);
  }

  /** What stands around a text that is alone. Throws `model_folder_invalid` where the tokenizer does not say so. */
  textFrame(): TextFrame {
    return findTextFrame(this.#source);
  }

  /** Where the special tokens stand. Throws `model_folder_invalid` where the tokenizer does not say so. */
  specialTokens(): SpecialTokens {
    return findSpecialTokens(this.#source);
  }

  /** Of a token of the vocabulary of inputs; an unknown one is the unknown token; null where there is none. */
  idOf(token: string): number | null {
    return this.#source.token_to_id(token) ?? this.#unknownTokenId;
  }

  /** As the vocabulary of inputs has it, `##s` for instance; empty where it has no such id. */
  tokenOf(id: number): string {
    return this.#source.id_to_token(id) ?? "";
  }

  /** Ids of the vocabulary of inputs as text again. */
  textOf(tokenIds: readonly number[], { skipSpecial }: { readonly skipSpecial: boolean }): string {
    if (tokenIds.length === 0) return "";
    return this.#source.decode(tokenIds, { skip_special_tokens: skipSpecial });
  }

  /** Special tokens are left out; unknown pieces leave nothing. */
  decode(tokenIds: readonly number[]): string {
    const known = tokenIds.filter((id) => id !== this.#unknownTokenId);
    if (known.length === 0) return "";
    return this.#target.decode(known, { skip_special_tokens: true });
  }
}

interface OpenedTokenizer {
  readonly tokenizer: HuggingFaceTokenizer;
  /** What it was made of. */
  readonly json: object;
}

async function openTokenizer(path: string): Promise<OpenedTokenizer> {
  const json = checkShape(
    path,
    await readJsonFile(path),
    z.looseObject({ model: z.looseObject({}) }),
  );
  try {
    checkDepth(json);
    // What the model wrote is given as it is: the clean-up of spaces is made for English and changes text.
    const tokenizer = createTokenizer(json, { clean_up_tokenization_spaces: false });
    return { tokenizer, json };
  } catch (cause) {
    throw unusableTokenizer(path, cause);
  }
}

/** As deep as normalizers in normalizers go, and more: the library calls itself for each level, until the stack ends. */
const depthMax = 64;

function checkDepth(json: object): void {
  let level: unknown[] = [json];
  for (let depth = 0; level.length > 0; depth += 1) {
    if (depth > depthMax) throw new Error(`it nests deeper than ${depthMax}`);
    const next: unknown[] = [];
    for (const each of level) {
      if (typeof each !== "object" || each === null) continue;
      for (const value of Object.values(each)) {
        if (typeof value === "object" && value !== null) next.push(value);
      }
    }
    level = next;
  }
}

/** The library throws whatever it stumbles over, when it reads the file and when it is first used. */
export function unusableTokenizer(path: string, cause: unknown): MillraceError {
  if (cause instanceof MillraceError) return cause;
  const message = `${path} is no tokenizer that can be used: ${String(cause)}`;
  return new MillraceError("model_folder_invalid", message, { cause });
}
