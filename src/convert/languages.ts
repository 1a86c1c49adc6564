/** Which languages a translation model is for: its tokenizer_config.json says so, or the folder's name does. */
import { existsSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { z } from "zod";
import { checkShape, readJsonFile } from "../models/read-json.js";

export interface Languages {
  readonly sourceLanguage?: string;
  readonly targetLanguage?: string;
}

const tokenizerConfig = z.looseObject({
  source_lang: z.string().nullish(),
  target_lang: z.string().nullish(),
});

export async function languagesOf(modelDir: string): Promise<Languages> {
  const path = join(modelDir, "tokenizer_config.json");
  if (existsSync(path)) {
    const { source_lang, target_lang } = checkShape(
      path,
      await readJsonFile(path),
      tokenizerConfig,
    );
    if (source_lang != null && target_lang != null) {
      return { sourceLanguage: source_lang, targetLanguage: target_lang };
    }
  }
  const [, source, target] =
    /(?:^|[-_.])([a-z]{2,3})[-_]([a-z]{2,3})$/.exec(basename(resolve(modelDir))) ?? [];
  return source === undefined || target === undefined
    ? {}
    : { sourceLanguage: source, targetLanguage: target };
}
