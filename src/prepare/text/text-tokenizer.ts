/** A model's tokenizer: text to ids and back. One call takes about a microsecond a character, so cap them first. */
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import { checkShape, readJsonFile } from "../../models/read-json.js";
import { createTokenizer, type HuggingFaceTokenizer } from "./huggingface-tokenizers.js";

export interface TextTokenizerOptions {
  /** The path of a tokenizer.json. */
  readonly path: string;
  /** What a model writes where it has no word; decoding leaves it out. */
  readonly unknownTokenId: number | null;
}

export class TextTokenizer {
  /** The most characters that a token of the vocabulary stands for. */
  readonly tokenCharactersMax: number;
  readonly #tokenizer: HuggingFaceTokenizer;
  readonly #unknownTokenId: number | null;

  private constructor(tokenizer: HuggingFaceTokenizer, unknownTokenId: number | null) {
    this.#tokenizer = tokenizer;
    this.#unknownTokenId = unknownTokenId;
    this.tokenCharactersMax = [...tokenizer.get_vocab().keys()].reduce(
      (longest, token) => Math.max(longest, token.length),
      1,
    );
  }

  /** Throws `model_folder_invalid` where the file is missing, or is no tokenizer that we can run. */
  static async open({ path, unknownTokenId }: TextTokenizerOptions): Promise<TextTokenizer> {
    const json = checkShape(
      path,
      await readJsonFile(path),
      z.looseObject({ model: z.looseObject({}) }),
    );
    try {
      // What the model wrote is given as it is: the clean-up of spaces is made for English and changes text.
      const tokenizer = createTokenizer(json, { clean_up_tokenization_spaces: false });
      return new TextTokenizer(tokenizer, unknownTokenId);
    } catch (cause) {
      // The library throws whatever it stumbles over.
      const message = `${path} is no tokenizer that can be used: ${String(cause)}`;
      throw new MillraceError("model_folder_invalid", message, { cause });
    }
  }

  /** Ids with the special tokens that the model was trained with: Marian has the end token. */
  encode(text: string): number[] {
    return this.#tokenizer.encode(text).ids;
  }

  /** Special tokens are left out; unknown pieces leave nothing. */
  decode(tokenIds: readonly number[]): string {
    const known = tokenIds.filter((id) => id !== this.#unknownTokenId);
    if (known.length === 0) return "";
    return this.#tokenizer.decode(known, { skip_special_tokens: true });
  }
}
