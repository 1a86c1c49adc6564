/** What tokenizer_config.json says: which languages the model is for (or the folder's name does), and of its tokens. */
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
  readonly special: MarianTokens;
}

export interface MarianTokens {
  readonly end: string;
  readonly unknown: string;
  readonly pad: string;
}

/** As a text, or as an object that says more of it. */
const tokenContent = z.union([
  z.string().min(1),
  z.looseObject({ content: z.string().min(1) }).transform(({ content }) => content),
]);

const tokenizerConfig = z.looseObject({
  source_lang: z.string().nullish(),
  target_lang: z.string().nullish(),
  separate_vocabs: z.boolean().nullish(),
  eos_token: tokenContent.nullish(),
  unk_token: tokenContent.nullish(),
  pad_token: tokenContent.nullish(),
});

export async function readTokenizerFacts(modelDir: string): Promise<TokenizerFacts> {
  const path = join(modelDir, "tokenizer_config.json");
  const value = existsSync(path) ? await readJsonFile(path) : {};
  const { source_lang, target_lang, separate_vocabs, ...rest } = checkShape(
    path,
    value,
    tokenizerConfig,
  );
  const languages =
    source_lang != null && target_lang != null
      ? { sourceLanguage: source_lang, targetLanguage: target_lang }
      : languagesOfName(basename(resolve(modelDir)));
  // The defaults are those of transformers' MarianTokenizer.
  const special = {
    end: rest.eos_token ?? "</s>",
    unknown: rest.unk_token ?? "<unk>",
    pad: rest.pad_token ?? "<pad>",
  };
  return { languages, separateVocabularies: separate_vocabs ?? false, special };
}

function languagesOfName(name: string): Languages {
  const [, source, target] = /(?:^|[-_.])([a-z]{2,3})[-_]([a-z]{2,3})$/.exec(name) ?? [];
  return source === undefined || target === undefined
    ? {}
    : { sourceLanguage: source, targetLanguage: target };
}
