/**
 * Which version of a folder is meant, and whether that is what is there. Between two looks at it anybody may replace its files, and
 * whoever opens them later (a pipeline that loads, the prepare thread) must not take another version's for those.
 *
 *   version   manifest, and stamps of the files that it has no hashes of: two folders of one version answer alike
 *   seen      stamps of all its files: while they stay as they are, none has to be hashed again
 */
import { createHash } from "node:crypto";
import { type BigIntStats } from "node:fs";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import type { ModelManifest } from "./manifest.js";
import { isMissing } from "./read-json.js";
import { verifyFiles } from "./read-manifest.js";

export interface FolderVersion {
  readonly version: string;
  readonly seen: string;
}

/** Throws `model_folder_invalid`, which names the file, where one is missing or is none: a pipe would never be read to its end. */
export async function folderVersion(dir: string, manifest: ModelManifest): Promise<FolderVersion> {
  const { files, fileSha256 } = manifest;
  const named = Object.values<string | readonly string[]>(files).flat();
  // Of an image classifier: it may be a file beside the graph.
  const labels =
    "labels" in manifest && typeof manifest.labels === "string" ? [manifest.labels] : [];
  const names = [...new Set([...named, ...labels, ...Object.keys(fileSha256)])];
  const stats = await Promise.all(
    names.map(async (name) => ({ name, stats: await fileAt(join(dir, name)) })),
  );
  const contents = stats
    .filter(({ name }) => !Object.hasOwn(fileSha256, name))
    .map(({ name, stats: { ino, size, mtimeNs } }) => `${name} ${ino} ${size} ${mtimeNs}`);
  // Nobody can write into a file and leave the time of its last change as it was.
  const stamps = stats.map(
    ({ name, stats: { ino, size, mtimeNs, ctimeNs } }) =>
      `${name} ${ino} ${size} ${mtimeNs} ${ctimeNs}`,
  );
  return { version: hashOf([manifest, contents]), seen: hashOf(stamps) };
}

/**
 * Throws where the folder is not of that version now: `not_ready` where it may be well, and has to be read again before. Whoever read its files before has read those of the
 * version; whoever reads them after it must look again.
 */
export async function checkVersion(
  dir: string,
  manifest: ModelManifest,
  expected: FolderVersion,
): Promise<void> {
  const now = await folderVersion(dir, manifest);
  if (now.version !== expected.version) {
    const message = `${dir} has changed since it was read: it must be read again`;
    throw new MillraceError("not_ready", message);
  }
  // Touched, linked or copied back, perhaps with what was in it.
  if (now.seen !== expected.seen) await verifyFiles(dir, manifest);
}

async function fileAt(path: string): Promise<BigIntStats> {
  let stats: BigIntStats;
  try {
    stats = await stat(path, { bigint: true });
  } catch (cause) {
    const what = isMissing(cause) ? "is missing" : "cannot be read";
    throw new MillraceError("model_folder_invalid", `${path} ${what}`, { cause });
  }
  if (stats.isFile()) return stats;
  throw new MillraceError("model_folder_invalid", `${path} is not a file`);
}

function hashOf(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex");
}
