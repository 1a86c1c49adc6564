/** A trial's result, in a file of the cache folder: for one model on one kind of machine, by one version. */
import { createHash, randomUUID } from "node:crypto";
import { readFile, rm, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { dirname, join } from "node:path";
import { z } from "zod";
import { usualRowsMax } from "../models/engine-definition.js";
import type { ModelManifest } from "../models/manifest.js";
import type { Options } from "../options/options.js";
import type { Configuration } from "../options/resolve.js";
import { makeFolders } from "../platform/make-folders.js";
import { move } from "../platform/move.js";
import { version } from "../version.js";
import type { MeasuredLayout } from "./layouts.js";

const layout = z.object({
  pipelines: z.int().min(1).max(256),
  threads: z.int().min(1).max(256),
  itemsPerSecond: z.number().nonnegative(),
});

/** Empty where it came to no end: the defaults stand, and it is not tried again. */
const kept = z.object({ measured: z.array(layout).max(32) });

/**
 * Rows that run at once in it. Its items are greedy, also of a model with beams, and with more of them than those run best the short
 * time counts few that have ended.
 */
export function trialRows({ rowsMax }: Pick<Options, "rowsMax">): number {
  return rowsMax ?? usualRowsMax;
}

/** ONNX Runtime's version is that of this one: package.json names one and no range. */
export function keptPath({ machine, options }: Configuration, manifest: ModelManifest): string {
  const parts = [
    version,
    process.version,
    cpus()[0]?.model ?? "?",
    machine.cores,
    machine.coresFrom,
    trialRows(options),
    identityOf(manifest),
  ];
  const key = createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 32);
  return join(options.cacheDir, "trials-v1", `${key}.json`);
}

/** Nobody has hashed a graph that was not converted: what is known of it stands for it. */
function identityOf(manifest: ModelManifest): unknown {
  const hashes = Object.entries(manifest.fileSha256);
  if (hashes.length === 0) return manifest;
  return hashes.toSorted(([left], [right]) => (left < right ? -1 : 1));
}

/** Null where there is none, or nothing that can be believed. */
export async function readKept(path: string): Promise<readonly MeasuredLayout[] | null> {
  try {
    const read = kept.safeParse(JSON.parse(await readFile(path, "utf8")));
    return read.success ? read.data.measured : null;
  } catch {
    return null;
  }
}

/** The next start measures. */
export async function forget(path: string): Promise<void> {
  await rm(path, { force: true });
}

/** @throws where nothing can be written there. */
export async function keep(path: string, measured: readonly MeasuredLayout[]): Promise<void> {
  await makeFolders(dirname(path), { mode: 0o700 });
  const newPath = join(dirname(path), `.new-${randomUUID()}`);
  try {
    await writeFile(newPath, `${JSON.stringify({ measured })}\n`);
    await move(newPath, path);
  } catch (error) {
    await rm(newPath, { force: true });
    throw error;
  }
}
