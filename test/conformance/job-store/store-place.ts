/** Where a store of durable jobs lies, for the suite; and small files, jobs and results to put in it. */
import { MillraceError } from "millrace-client";
import type { Chunk, ChunkResults, JobStore, NewFile, NewJob } from "#src/jobs/store.js";
import { jobOn, newFileHead } from "../../support/stored-jobs.js";

export interface StorePlace {
  open(bytesMax: number): Promise<JobStore>;
  /** What is there after its process was killed, with nothing under way; the one that is given is of no use any more. */
  crashed(store: JobStore, bytesMax: number): Promise<JobStore>;
}

export const MiB: number = 1024 ** 2;

export function hasCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof MillraceError && error.code === code;
}

export async function keepFile(store: JobStore, id: string, chunks: number): Promise<void> {
  const writing = await store.beginFile(newFile(id));
  for (let at = 0; at < chunks; at += 1) await writing.add(chunkOf(at));
  await writing.finish();
}

export function chunkOf(index: number): Chunk {
  return { index, firstLine: index * 2, lines: 2, bytes: Buffer.from(`"a${index}"\n"b"\n`) };
}

export function newFile(id: string): NewFile {
  return newFileHead(id, { owner: "a" });
}

export function newJob(id: string, fileId: string): NewJob {
  return jobOn(fileId, {
    id,
    owner: "a",
    caller: { key: "a", keyId: "1", tenant: null, classes: null, models: null, isAdmin: false },
    form: { kind: "native", task: "translate", model: null, fields: { targetLanguage: "de" } },
    keptMs: 1_000,
    metadata: { wort: "schön" },
  });
}

/** Of both lines of `chunkOf`: one succeeded, and one failed. */
export function resultsOf(index: number, mark: number): ChunkResults {
  return {
    index,
    firstLine: index * 2,
    lines: 2,
    succeeded: 1,
    failed: 1,
    outputBytes: 10,
    errorBytes: 4,
    body: Buffer.from(`results ${index} ${mark}`),
  };
}
