/** The ids of a shortlist, held to what the engine takes them for before anybody gets a token of theirs. */
import { open } from "node:fs/promises";
import { join } from "node:path";
import type { GenerationManifest } from "../../models/manifest-generation.js";
import { readWeightPlace } from "../../models/onnx/read-graph.js";

const idBytes = 4;

/**
 * Nothing else would notice: a wrong id is a wrong word, and out of order equal scores are no longer won by the lower id. Reads a few
 * kilobytes; does nothing where the model has no shortlist. Throws an Error that says what is wrong.
 */
export async function checkShortlistIds(
  modelDir: string,
  { files, shape, shortlist }: Pick<GenerationManifest, "files" | "shape" | "shortlist">,
): Promise<void> {
  if (shortlist === undefined) return;
  const { idsTensor, tokens } = shortlist;
  const where = `the shortlist's ids (${idsTensor} in ${files.weights})`;
  const place = await readWeightPlace(join(modelDir, files.decoder), idsTensor);
  if (place?.file !== files.weights) {
    throw new Error(`${where} are not there, as ${files.decoder} has it`);
  }
  if (place.byteLength !== tokens * idBytes) {
    const bytes = `${where} are ${place.byteLength} bytes`;
    throw new Error(`${bytes}; ${tokens} ids of ${idBytes} bytes are wanted`);
  }
  const bytes = Buffer.alloc(place.byteLength);
  await using handle = await open(join(modelDir, files.weights), "r");
  const { bytesRead } = await handle.read(bytes, 0, bytes.length, place.byteOffset);
  if (bytesRead < bytes.length) throw new Error(`${where} reach over the end of the file`);
  const problem = problemOf(bytes, shape.targetVocabulary);
  if (problem !== null) throw new Error(`${where} are damaged: ${problem}; convert it again`);
}

/** Of int32 ids, one behind the other; null where all is well. */
function problemOf(bytes: Buffer, vocabulary: number): string | null {
  for (let place = 0, before = -1; place * idBytes < bytes.length; place += 1) {
    const id = bytes.readInt32LE(place * idBytes);
    if (id < 0 || id >= vocabulary) {
      return `id ${id} at place ${place} is none of the model's ${vocabulary} tokens`;
    }
    if (id === before) return `id ${id} stands twice, at places ${place - 1} and ${place}`;
    if (id < before) return `id ${id} at place ${place} comes after ${before}: they must ascend`;
    before = id;
  }
  return null;
}
