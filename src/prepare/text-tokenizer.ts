/** A model's tokenizer: text to ids and back. One call takes about a microsecond a character, so cap them first. */
import { join } from "node:path";
import { z } from "zod";
import { checkShape, readJsonFile } from "../models/read-json.js";
import type { ModelFolder } from "../models/registry.js";
import { createTokenizer, type HuggingFaceTokenizer } from "./huggingface-tokenizers.js";

export class TextTokenizer {
  readonly vocabulary: number;
  readonly endTokenId: number;
  /** The most characters that a token of the vocabulary stands for. */
  readonly tokenCharactersMax: number;
  readonly #tokenizer: HuggingFaceTokenizer;
  readonly #unknownTokenId: number | null;

  private constructor(tokenizer: HuggingFaceTokenizer, { manifest }: ModelFolder) {
    this.#tokenizer = tokenizer;
    this.#unknownTokenId = manifest.generation.unknownTokenId;
    this.vocabulary = manifest.shape.vocabulary;
    this.endTokenId = manifest.generation.endTokenId;
    this.tokenCharactersMax = [...tokenizer.get_vocab().keys()].reduce(
      (longest, token) => Math.max(longest, token.length),
      1,
    );
  }

  /** Throws `model_folder_invalid` where the folder's tokenizer.json is missing or is none. */
  static async open(folder: ModelFolder): Promise<TextTokenizer> {
    const path = join(folder.dir, folder.manifest.files.tokenizer);
    const json = checkShape(
      path,
      await readJsonFile(path),
      z.looseObject({ model: z.looseObject({}) }),
    );
    // What the model wrote is given as it is: the clean-up of spaces is made for English and changes text.
    return new TextTokenizer(
      createTokenizer(json, { clean_up_tokenization_spaces: false }),
      folder,
    );
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
