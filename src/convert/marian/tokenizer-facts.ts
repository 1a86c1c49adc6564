/** What tokenizer_config.json says: which languages the model is for (or the folder's name does), and of its vocabularies. */
import { existsSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { z } from "zod";
import { checkShape, readJsonFile } from "../../models/read-json.js";

export interface Languages {
  readonly sourceLanguage?: string;
  readonly targetLanguage?: string;
}

export interface TokenizerFacts {
  readonly languages: Languages;
  /** Inputs and outputs have vocabularies of their own. */
  readonly separateVocabularies: boolean;
}

const tokenizerConfig = z.looseObject({
  source_lang: z.string().nullish(),
  target_lang: z.string().nullish(),
  separate_vocabs: z.boolean().nullish(),
});

export async function readTokenizerFacts(modelDir: string): Promise<TokenizerFacts> {
  const path = join(modelDir, "tokenizer_config.json");
  const { source_lang, target_lang, separate_vocabs } = existsSync(path)
    ? checkShape(path, await readJsonFile(path), tokenizerConfig)
    : {};
  const languages =
    source_lang != null && target_lang != null
      ? { sourceLanguage: source_lang, targetLanguage: target_lang }
      : languagesOfName(basename(resolve(modelDir)));
  return { languages, separateVocabularies: separate_vocabs ?? false };
}

function languagesOfName(name: string): Languages {
  const [, source, target] = /(?:^|[-_.])([a-z]{2,3})[-_]([a-z]{2,3})$/.exec(name) ?? [];
  return source === undefined || target === undefined
    ? {}
    : { sourceLanguage: source, targetLanguage: target };
}
