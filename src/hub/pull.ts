/** Files of a repository into a folder, a few at once. */
import { fetchFile, type HubParts } from "./fetch-file.js";
import type { HubFile } from "./repository.js";

const filesAtOnce = 4;

export function hubBytes(files: readonly HubFile[]): number {
  return files.reduce((sum, { bytes }) => sum + bytes, 0);
}

/** Over what stands there: target-folder.ts says which may be. Rejects with the first error; what is under way ends then, and what has come is kept for the next run. */
export async function pullFiles(
  files: readonly HubFile[],
  { signal, ...parts }: HubParts,
): Promise<void> {
  const failed = new AbortController();
  const both = AbortSignal.any([signal, failed.signal]);
  const waiting = files.toSorted((left, right) => right.bytes - left.bytes);
  const work = async (): Promise<void> => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      await fetchFile(file, { ...parts, signal: both });
    }
  };
  const workers = Array.from({ length: filesAtOnce }, () =>
    work().catch((error: unknown) => {
      failed.abort(error);
      throw error;
    }),
  );
  const ends = await Promise.allSettled(workers);
  signal.throwIfAborted();
  if (ends.some(({ status }) => status === "rejected")) throw failed.signal.reason;
}
