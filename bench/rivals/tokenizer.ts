/** The tokenizer of a Millrace folder, for those sides of a comparison that do not go through a server. */
import { join } from "node:path";
import type { GenerationManifest } from "#src/models/manifest-generation.js";
import { TextTokenizer } from "#src/prepare/text/text-tokenizer.js";
import { readGeneration } from "../../test/support/read-generation.js";

export async function tokenizerOf(modelDir: string): Promise<TextTokenizer> {
  return await openTokenizer(modelDir, await readGeneration(modelDir));
}

export async function openTokenizer(
  modelDir: string,
  { files, generation }: GenerationManifest,
): Promise<TextTokenizer> {
  const { tokenizer, targetTokenizer } = files;
  return await TextTokenizer.open({
    path: join(modelDir, tokenizer),
    ...(targetTokenizer === undefined ? {} : { targetPath: join(modelDir, targetTokenizer) }),
    unknownTokenId: generation.unknownTokenId,
  });
}
