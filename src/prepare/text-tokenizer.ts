/** A model's tokenizer: text to ids and back. One call takes about a microsecond a character, so cap them first. */
import { join } from "node:path";
import { z } from "zod";
import { checkShape, readJsonFile } from "../models/read-json.js";
import type { ModelFolder } from "../models/registry.js";
import { createTokenizer, type HuggingFaceTokenizer } from "./huggingface-tokenizers.js";

export class TextTokenizer {
  /** Of inputs. */
  readonly vocabulary: number;
  readonly endTokenId: number;
  /** The most characters that a token of the vocabulary stands for. */
  readonly tokenCharactersMax: number;
  readonly #source: HuggingFaceTokenizer;
  /** The same one, unless outputs have a vocabulary of their own. */
  readonly #target: HuggingFaceTokenizer;
  readonly #unknownTokenId: number | null;

  private constructor(
    { source, target }: Record<"source" | "target", HuggingFaceTokenizer>,
    { manifest }: ModelFolder,
  ) {
    this.#source = source;
    this.#target = target;
    this.#unknownTokenId = manifest.generation.unknownTokenId;
    this.vocabulary = manifest.shape.sourceVocabulary;
    this.endTokenId = manifest.generation.endTokenId;
    this.tokenCharactersMax = [...source.get_vocab().keys()].reduce(
      (longest, token) => Math.max(longest, token.length),
      1,
    );
  }

  /** Throws `model_folder_invalid` where a tokenizer of the folder is missing or is none. */
  static async open(folder: ModelFolder): Promise<TextTokenizer> {
    const { tokenizer, targetTokenizer } = folder.manifest.files;
    const source = await openTokenizer(join(folder.dir, tokenizer));
    const target =
      targetTokenizer === undefined
        ? source
        : await openTokenizer(join(folder.dir, targetTokenizer));
    return new TextTokenizer({ source, target }, folder);
  }

  /** Ids with the special tokens that the model was trained with: Marian has the end token. */
  encode(text: string): number[] {
    return this.#source.encode(text).ids;
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
  // What the model wrote is given as it is: the clean-up of spaces is made for English and changes text.
  return createTokenizer(json, { clean_up_tokenization_spaces: false });
}
