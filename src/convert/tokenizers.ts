/** The tokenizers of a Hugging Face folder: one, or two where inputs and outputs have vocabularies of their own. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import { checkShape, readJsonFile } from "../models/read-json.js";
import {
  createTokenizer,
  type HuggingFaceTokenizer,
} from "../prepare/text/huggingface-tokenizers.js";
import type { MarianConfig } from "./marian/config.js";
import type { TokenizerFacts } from "./tokenizer-facts.js";

export interface SourceTokenizers {
  readonly source: HuggingFaceTokenizer;
  /** The files to copy, by the name that they get. */
  readonly paths: ReadonlyMap<string, string>;
}

export const sourceTokenizerName = "tokenizer.json";
/** Named as Marian names the vocabulary of outputs, `target_vocab.json`. */
export const targetTokenizerName = "target_tokenizer.json";

/**
 * Throws `model_folder_invalid` where one is missing, is none, or has ids that the model's tables lack: the server
 * could not use the folder otherwise, and would be the first to say so.
 */
export async function openTokenizers(
  dir: string,
  config: MarianConfig,
  { separateVocabularies }: TokenizerFacts,
): Promise<SourceTokenizers> {
  const { vocabularySize, decoderVocabularySize } = config;
  const path = join(dir, sourceTokenizerName);
  const source = await openTokenizer(path, vocabularySize);
  const targetPath = join(dir, targetTokenizerName);
  const needsTarget = vocabularySize !== decoderVocabularySize || separateVocabularies;
  if (!needsTarget && !existsSync(targetPath)) {
    return { source, paths: new Map([[sourceTokenizerName, path]]) };
  }
  if (config.sharedEmbeddings) {
    const message = `${dir} has two vocabularies, but config.json says share_encoder_decoder_embeddings`;
    throw new MillraceError("model_folder_invalid", message);
  }
  await openTokenizer(targetPath, decoderVocabularySize);
  return {
    source,
    paths: new Map([
      [sourceTokenizerName, path],
      [targetTokenizerName, targetPath],
    ]),
  };
}

async function openTokenizer(path: string, vocabulary: number): Promise<HuggingFaceTokenizer> {
  const json = checkShape(path, await readJsonFile(path), z.looseObject({}));
  const tokenizer = makeTokenizer(path, json);
  let largest = -1;
  for (const id of tokenizer.get_vocab().values()) largest = Math.max(largest, id);
  if (largest < vocabulary) return tokenizer;
  const message = `${path} has the id ${largest}, but the model's vocabulary has ${vocabulary}`;
  throw new MillraceError("model_folder_invalid", message);
}

function makeTokenizer(path: string, json: object): HuggingFaceTokenizer {
  try {
    return createTokenizer(json, { clean_up_tokenization_spaces: false });
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new MillraceError("model_folder_invalid", `${path} is no tokenizer: ${message}`, {
      cause,
    });
  }
}
