/**
 * The files that an entry of weights-cache.ts is made of. An entry outlives what it was made of, and is found by what those files
 * were to hold: were one replaced while it was read, the entry would give another model's results to whoever has the first one.
 */
import { stat } from "node:fs/promises";
import { hashFile } from "../models/file-hash.js";

export interface WeightsSource {
  readonly path: string;
  /** From before anybody read it for the entry. */
  readonly stamp: string;
  /** Null: the entry is found by the stamp. */
  readonly sha256: string | null;
}

/** A file was replaced meanwhile: the next one who tries may find it at rest. */
export class SourceChanged extends Error {}

export async function weightsSource(
  path: string,
  sha256: string | null = null,
): Promise<WeightsSource> {
  return { path, stamp: await stampOf(path), sha256 };
}

/** After they were read. Throws `SourceChanged` where that may have been something else. */
export async function checkSources(sources: readonly WeightsSource[]): Promise<void> {
  for (const { path, stamp, sha256 } of sources) {
    const isSame =
      (await stampOf(path).catch(() => null)) === stamp &&
      (sha256 === null || (await hashFile(path)) === sha256);
    if (!isSame) throw new SourceChanged(`${path} was changed while weights were made of it`);
  }
}

/** Nobody can write into a file and leave the time of its last change as it was. */
async function stampOf(path: string): Promise<string> {
  const { ino, size, mtimeNs, ctimeNs } = await stat(path, { bigint: true });
  return [ino, size, mtimeNs, ctimeNs].join(" ");
}
