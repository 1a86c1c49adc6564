/** What a model is expected to take in a process, before one has loaded it. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import type { ModelFolder } from "./registry.js";

/** Weights are read, and packed again for the processor: measured on folders of convert, 1.1 to 2 times their bytes. */
const packedShare = 2;
/** Sessions, tokenless: what a graph without weights takes. */
const sessionBytes: number = 2 * 1024 * 1024;

export async function expectedBytes(folder: ModelFolder): Promise<number> {
  return sessionBytes + packedShare * (await filesBytes(folder));
}

/** Graphs and weights on the disk. */
export async function filesBytes({
  dir,
  manifest,
}: Pick<ModelFolder, "dir" | "manifest">): Promise<number> {
  const all = Object.values<string | readonly string[]>(manifest.files).flat();
  const files = [...new Set(all)].filter((name) => !name.endsWith(".json"));
  const sizes = await Promise.all(files.map(async (name) => (await stat(join(dir, name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
