/** A model's tokenizer: text to ids and back. One call takes about a microsecond a character, so cap them first. */
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import { checkShape, readJsonFile } from "../../models/read-json.js";
import { createTokenizer, type HuggingFaceTokenizer } from "./huggingface-tokenizers.js";
import { languageCodeOf } from "./sentencepiece.js";
import { findSpecialTokens, type SpecialTokens } from "./special-tokens.js";

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

export class TextTokenizer {
  /** The most characters that a token of the vocabulary stands for. */
  readonly tokenCharactersMax: number;
  readonly #source: HuggingFaceTokenizer;
  /** The same one, unless outputs have a vocabulary of their own. */
  readonly #target: HuggingFaceTokenizer;
  readonly #unknownTokenId: number | null;
  /** Ids of tokens such as `>>cmn<<`; most models have none. */
  readonly #languageCodes: ReadonlyMap<string, number>;

  private constructor(
    { source, target }: Record<"source" | "target", HuggingFaceTokenizer>,
    unknownTokenId: number | null,
  ) {
    this.#source = source;
    this.#target = target;
    this.#unknownTokenId = unknownTokenId;
    const tokens = [...source.get_vocab()];
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
    return this.#source.encode(text, { add_special_tokens: false }).ids;
  }

  /**
   * The same of a text that goes on behind a character. Many vocabularies have a token for the beginning of a text, which must
   * not stand in the middle of one: so it is encoded with that character, whose own ids are taken off again.
   */
  encodeBehind(character: string, text: string): number[] {
    const lead = this.encodePlain(character);
    const all = this.encodePlain(`${character}${text}`);
    const isApart = lead.length > 0 && lead.every((id, at) => all[at] === id);
    return isApart ? all.slice(lead.length) : this.encodePlain(text);
  }

  /** Where the special tokens stand. Throws `model_folder_invalid` where the tokenizer does not say so. */
  specialTokens(): SpecialTokens {
    return findSpecialTokens(this.#source);
  }

  /** Special tokens are left out; unknown pieces leave nothing. */
  decode(tokenIds: readonly number[]): string {
    const known = tokenIds.filter((id) => id !== this.#unknownTokenId);
    if (known.length === 0) return "";
    return this.#target.decode(known, { skip_special_tokens: true });
  }
}

async function openTokenizer(path: string): Promise<HuggingFaceTokenizer> {
  const json = checkShape(
    path,
    await readJsonFile(path),
    z.looseObject({ model: z.looseObject({}) }),
  );
  try {
    // What the model wrote is given as it is: the clean-up of spaces is made for English and changes text.
    return createTokenizer(json, { clean_up_tokenization_spaces: false });
  } catch (cause) {
    throw unusableTokenizer(path, cause);
  }
}

/** The library throws whatever it stumbles over, when it reads the file and when it is first used. */
export function unusableTokenizer(path: string, cause: unknown): MillraceError {
  if (cause instanceof MillraceError) return cause;
  const message = `${path} is no tokenizer that can be used: ${String(cause)}`;
  return new MillraceError("model_folder_invalid", message, { cause });
}
