/** Whether a file on the disk is the one that a hub means. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { HubFile } from "./repository.js";

/** By its length, and only where that is right by its hash: gigabytes are read no more often than needed. */
export async function isSameFile(
  path: string,
  { bytes, hash }: HubFile,
  signal: AbortSignal,
): Promise<boolean> {
  const stats = await stat(path).catch(() => null);
  if (stats === null || !stats.isFile() || stats.size !== bytes) return false;
  const made =
    hash.kind === "sha256" ? createHash("sha256") : createHash("sha1").update(`blob ${bytes}\0`);
  for await (const chunk of createReadStream(path, { signal })) made.update(chunk as Buffer);
  return made.digest("hex") === hash.hex;
}
