/** The tokenizer of a Millrace folder, for those sides of a comparison that do not go through a server. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { createTokenizer } from "#src/prepare/text/huggingface-tokenizers.js";
import { readGeneration } from "../../test/support/read-generation.js";

type Tokenizer = ReturnType<typeof createTokenizer>;

export async function tokenizerOf(modelDir: string): Promise<Tokenizer> {
  const { files } = await readGeneration(modelDir);
  const json = JSON.parse(readFileSync(join(modelDir, files.tokenizer), "utf8")) as object;
  return createTokenizer(json, { clean_up_tokenization_spaces: false });
}

/** As the server gives it. */
export function textOf(tokenizer: Tokenizer, ids: readonly number[]): string {
  return tokenizer.decode([...ids], { skip_special_tokens: true }).trim();
}
