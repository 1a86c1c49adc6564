/** The tokenizers of a Hugging Face folder: one, or two where inputs and outputs have vocabularies of their own. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import { checkShape, readJsonFile } from "../../models/read-json.js";
import type { HuggingFaceTokenizer } from "../../prepare/text/huggingface-tokenizers.js";
import { openTokenizer, sourceTokenizerName } from "../source-tokenizer.js";
import type { MarianConfig } from "./config.js";
import type { TokenizerFacts } from "./tokenizer-facts.js";

export interface SourceTokenizers {
  readonly source: HuggingFaceTokenizer;
  /** The files to copy, by the name that they get. */
  readonly paths: ReadonlyMap<string, string>;
}

/** Named as Marian names the vocabulary of outputs, `target_vocab.json`. */
export const targetTokenizerName = "target_tokenizer.json";

/** Throws `model_folder_invalid` where one is missing, or is not what the model needs. */
export async function openTokenizers(
  dir: string,
  config: MarianConfig,
  { separateVocabularies }: TokenizerFacts,
): Promise<SourceTokenizers> {
  const { vocabularySize, decoderVocabularySize } = config;
  const path = join(dir, sourceTokenizerName);
  const source = await readTokenizer(path, vocabularySize);
  const targetPath = join(dir, targetTokenizerName);
  const needsTarget = vocabularySize !== decoderVocabularySize || separateVocabularies;
  if (!needsTarget && !existsSync(targetPath)) {
    return { source, paths: new Map([[sourceTokenizerName, path]]) };
  }
  if (config.sharedEmbeddings) {
    const message = `${dir} has two vocabularies, but config.json says share_encoder_decoder_embeddings`;
    throw new MillraceError("model_folder_invalid", message);
  }
  await readTokenizer(targetPath, decoderVocabularySize);
  return {
    source,
    paths: new Map([
      [sourceTokenizerName, path],
      [targetTokenizerName, targetPath],
    ]),
  };
}

async function readTokenizer(path: string, vocabulary: number): Promise<HuggingFaceTokenizer> {
  return openTokenizer(
    path,
    checkShape(path, await readJsonFile(path), z.looseObject({})),
    vocabulary,
  );
}
