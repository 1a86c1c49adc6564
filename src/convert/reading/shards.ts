/**
 * Weights in several files. The index says which file has which tensor, and is believed in nothing: each shard lists its
 * own tensors, and both lists must be one.
 */
import { basename, dirname, join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import { checkShape, readJsonFile } from "../../models/read-json.js";
import type { TensorFile } from "./tensor-file.js";

/** Some hundred bytes a tensor, and room for a million. */
const indexBytesMax = 256 * 1024 * 1024;
/** Each is an open file; the largest models have some two hundred. */
const shardsMax = 1_000;

const indexSchema = z.looseObject({
  metadata: z.looseObject({ total_size: z.int().nonnegative().nullish() }).nullish(),
  weight_map: z.record(z.string(), z.string()),
});

/**
 * The shards in the order of their names. Throws `model_folder_invalid` where the index contradicts them, and what `open`
 * throws.
 */
export async function openShards(
  indexPath: string,
  open: (path: string) => Promise<TensorFile>,
): Promise<readonly TensorFile[]> {
  const raw = checkShape(indexPath, await readJsonFile(indexPath, indexBytesMax), indexSchema);
  const index = new Map(Object.entries(raw.weight_map));
  const names = [...new Set(index.values())].toSorted();
  const fail = (message: string): MillraceError =>
    new MillraceError("model_folder_invalid", `${indexPath}: ${message}`);
  if (names.length === 0) throw fail("weight_map names no tensor");
  if (names.length > shardsMax) throw fail(`${names.length} shards; the limit is ${shardsMax}`);
  for (const name of names) {
    // A name that leaves the folder would make anything on this machine a weight.
    if (isPlainName(name)) continue;
    throw fail(`the shard ${JSON.stringify(name)} is not the name of a file in the folder`);
  }
  const files: TensorFile[] = [];
  try {
    for (const name of names) files.push(await open(join(dirname(indexPath), name)));
    checkIndex(index, new Map(names.map((name, at) => [name, files[at]])), fail);
    checkTotal(raw.metadata?.total_size, files, fail);
    return files;
  } catch (error) {
    for (const file of files) await file[Symbol.asyncDispose]();
    throw error;
  }
}

/** Every tensor of the index is in the shard that it names, and no shard has another. */
function checkIndex(
  index: ReadonlyMap<string, string>,
  shards: ReadonlyMap<string, TensorFile | undefined>,
  fail: (message: string) => MillraceError,
): void {
  for (const [tensor, shard] of index) {
    if (shards.get(shard)?.tensors.has(tensor) === true) continue;
    throw fail(`tensor ${tensor} is not in ${shard}, where the index says it is`);
  }
  for (const [shard, file] of shards) {
    for (const tensor of file?.tensors.keys() ?? []) {
      const said = index.get(tensor);
      if (said === shard) continue;
      const what = said === undefined ? "which the index does not name" : `and in ${said} as well`;
      throw fail(`tensor ${tensor} is in ${shard}, ${what}`);
    }
  }
}

/**
 * The sum of the tensors' bytes. Some writers count a tied tensor twice, and some wrote it before they changed the type:
 * only what is far from the truth is refused.
 */
function checkTotal(
  total: number | null | undefined,
  files: readonly TensorFile[],
  fail: (message: string) => MillraceError,
): void {
  if (total == null) return;
  const tensors = files.flatMap((file) => [...file.tensors.values()]);
  const bytes = tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
  if (total >= bytes / 4 && total <= bytes * 4) return;
  throw fail(`total_size is ${total}, but the tensors of the shards have ${bytes} bytes`);
}

function isPlainName(name: string): boolean {
  return basename(name) === name && !["", ".", ".."].includes(name) && !/[\\\0]/.test(name);
}
