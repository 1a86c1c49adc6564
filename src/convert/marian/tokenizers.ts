/**
 * The tokenizers of a Hugging Face folder: one, or two where inputs and outputs have vocabularies of their own. They are
 * copied, or made of SentencePiece models where the folder has no tokenizer.json.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import { checkShape, readJsonFile } from "../../models/read-json.js";
import type { HuggingFaceTokenizer } from "../../prepare/text/huggingface-tokenizers.js";
import type { CopiedFile } from "../family.js";
import { openTokenizer, sourceTokenizerName } from "../source-tokenizer.js";
import type { MarianConfig } from "./config.js";
import {
  makeMarianTokenizers,
  sourceModelName,
  targetVocabularyName,
  vocabularyName,
} from "./sentencepiece-tokenizers.js";
import type { TokenizerFacts } from "./tokenizer-facts.js";

export interface SourceTokenizers {
  readonly source: HuggingFaceTokenizer;
  /** Of texts of the target language, to ids of outputs: made anew by each call, and needed by no server. */
  readonly targetTexts: () => HuggingFaceTokenizer;
  /** By the name that the file gets. */
  readonly files: ReadonlyMap<string, CopiedFile>;
}

/** Named as Marian names the vocabulary of outputs, `target_vocab.json`. */
export const targetTokenizerName = "target_tokenizer.json";

/**
 * Throws `model_folder_invalid` where one is missing, is none, or has ids that the model's tables lack: the server
 * could not use the folder otherwise, and would be the first to say so. `model_unsupported` where a SentencePiece model
 * is of another kind.
 */
export async function openTokenizers(
  dir: string,
  config: MarianConfig,
  facts: TokenizerFacts,
): Promise<SourceTokenizers> {
  const { vocabularySize, decoderVocabularySize } = config;
  const separate = vocabularySize !== decoderVocabularySize || facts.separateVocabularies;
  if (separate && config.sharedEmbeddings) {
    const message = `${dir} has two vocabularies, but config.json says share_encoder_decoder_embeddings`;
    throw new MillraceError("model_folder_invalid", message);
  }
  const isMade =
    !existsSync(join(dir, sourceTokenizerName)) && existsSync(join(dir, sourceModelName));
  const found = isMade
    ? await makeTokenizers(dir, { ...facts, separateVocabularies: separate })
    : await findTokenizers(dir, config, separate);
  const source = openTokenizer(found.source.path, found.source.json, vocabularySize);
  if (isMade) checkEndToken(found.source, source, config);
  if (found.target !== null) {
    openTokenizer(found.target.path, found.target.json, decoderVocabularySize);
  }
  return {
    source,
    targetTexts: () => {
      const { path, json } = found.targetTexts();
      return openTokenizer(path, json, decoderVocabularySize);
    },
    files: new Map([
      [sourceTokenizerName, found.source.file],
      ...(found.target === null ? [] : [[targetTokenizerName, found.target.file] as const]),
    ]),
  };
}

interface FoundTokenizer {
  readonly json: object;
  /** For errors. */
  readonly path: string;
  readonly file: CopiedFile;
}

interface FoundTokenizers {
  readonly source: FoundTokenizer;
  readonly target: FoundTokenizer | null;
  readonly targetTexts: () => Pick<FoundTokenizer, "json" | "path">;
}

async function findTokenizers(
  dir: string,
  { sharedEmbeddings }: MarianConfig,
  separate: boolean,
): Promise<FoundTokenizers> {
  const source = await readTokenizer(join(dir, sourceTokenizerName));
  const targetPath = join(dir, targetTokenizerName);
  if (!separate && !existsSync(targetPath)) {
    return { source, target: null, targetTexts: () => source };
  }
  if (sharedEmbeddings) {
    const message = `${dir} has two vocabularies, but config.json says share_encoder_decoder_embeddings`;
    throw new MillraceError("model_folder_invalid", message);
  }
  const target = await readTokenizer(targetPath);
  return { source, target, targetTexts: () => target };
}

async function readTokenizer(path: string): Promise<FoundTokenizer> {
  const json = checkShape(path, await readJsonFile(path), z.looseObject({}));
  return { json, path, file: { path } };
}

async function makeTokenizers(dir: string, facts: TokenizerFacts): Promise<FoundTokenizers> {
  const made = await makeMarianTokenizers(dir, facts);
  const found = (json: object, path: string): FoundTokenizer => ({
    json,
    path,
    file: { text: `${JSON.stringify(json)}\n` },
  });
  const { source, target, targetTexts } = made;
  const ofTarget = facts.separateVocabularies ? targetVocabularyName : vocabularyName;
  const targetPath = join(dir, ofTarget);
  return {
    source: found(source, join(dir, vocabularyName)),
    target: target === null ? null : found(target, targetPath),
    targetTexts: () => ({ json: targetTexts(), path: targetPath }),
  };
}

/** What ends an input is the tokenizer's, what ends an output is the config's; a text that is cut gets the config's. */
function checkEndToken(
  { path }: FoundTokenizer,
  source: HuggingFaceTokenizer,
  { generation }: MarianConfig,
): void {
  const last = source.encode("").ids.at(-1);
  if (last === generation.endTokenId) return;
  const message = `${path} ends texts with the id ${last}, but config.json's eos_token_id is ${generation.endTokenId}`;
  throw new MillraceError("model_folder_invalid", message);
}
