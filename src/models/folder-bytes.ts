/** What a model is expected to take in each pipeline, before one has loaded it. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { engineTable } from "./engine-table.js";
import type { ModelFolder } from "./registry.js";

export interface ModelBytes {
  readonly bytes: number;
  /** What its files say: it cannot take less, whatever is measured. */
  readonly leastBytes: number;
}

/** What the pipelines have in common. */
export interface SharingOptions {
  readonly pipelines: number;
  /** 0: each has a copy of its own. */
  readonly weightsCacheBytesMax: number;
}

/** Sessions, tokenless: what a graph without weights takes. */
const sessionBytes: number = 2 * 1024 * 1024;
/** A copy of its own: read, and packed again for the processor. Measured on folders of convert, 0.5 to 2 times the files. */
const ownShare = 2;
/**
 * Weights that all pipelines map (runtime/shared-weights.ts): what each has beside them. Measured at 86 MiB of float32 as at
 * 33 MiB of int8: 0.05 to 0.15 of the files after a load; the rest is for what runs hold on to.
 */
const privateShare = 0.25;

/** Below that a copy costs less than what else comes with shared weights. */
const sharedBytesMin = 4 * 1024 * 1024;
/** A cache's entry has every weight twice, plain and packed; and a little more. */
const cachedShare = 2.1;

/** Whether weights of so many bytes are worth a place in the cache that pipelines share, and fit into it. */
export function areSharable(bytes: number, cacheBytesMax: number): boolean {
  return bytes >= sharedBytesMin && bytes * cachedShare <= cacheBytesMax;
}

export async function expectedBytes(
  folder: ModelFolder,
  sharing: SharingOptions,
): Promise<ModelBytes> {
  const { manifest } = folder;
  const fileBytes = await filesBytes(folder);
  const mayShare = engineTable[manifest.engine].sharesWeights(manifest);
  return modelBytes(fileBytes, mayShare ? sharing : { ...sharing, weightsCacheBytesMax: 0 });
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

/**
 * Each pipeline counts with an even part of what all of them map, so that where all have a model it counts once. One that only
 * one pipeline has counts too little there. That may cost page cache and not a process: what is mapped from a file
 * is not dirty, and the kernel drops it before it kills anybody.
 */
export function modelBytes(
  fileBytes: number,
  { pipelines, weightsCacheBytesMax }: SharingOptions,
): ModelBytes {
  if (!areSharable(fileBytes, weightsCacheBytesMax))
    return { bytes: sessionBytes + ownShare * fileBytes, leastBytes: fileBytes };
  const mappedBytes = Math.ceil(fileBytes / pipelines);
  const privateBytes = Math.ceil(fileBytes * privateShare);
  return { bytes: sessionBytes + privateBytes + mappedBytes, leastBytes: mappedBytes };
}
