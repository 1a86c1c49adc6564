/** Durable jobs as the options have them: where they are kept, and who has the next chunk. */
import { join } from "node:path";
import type { ChunkQueue } from "../jobs/chunk-queue.js";
import { type JobWork, type OpenJobsParts, openJobWork } from "../jobs/job-work.js";
import { LocalQueue } from "../jobs/local-queue.js";
import type { JobStore } from "../jobs/store.js";
import type { Log } from "../log.js";
import type { Options } from "../options/options.js";

/**
 * Null: the options name no place for them.
 *
 * @throws MillraceError `data_in_use`, `data_invalid`
 */
export async function openJobs(parts: OpenJobsParts): Promise<JobWork | null> {
  const place = await openPlace(parts.options, parts.log);
  if (place === null) return null;
  try {
    return await openJobWork({ ...parts, ...place });
  } catch (error) {
    await place.queue[Symbol.asyncDispose]();
    await place.store[Symbol.asyncDispose]();
    throw error;
  }
}

interface JobsPlace {
  readonly store: JobStore;
  readonly queue: ChunkQueue;
}

async function openPlace(
  { data, jobsBytesMax: bytesMax }: Options,
  log: Log,
): Promise<JobsPlace | null> {
  if (data === null) return null;
  // Its library is loaded where jobs are kept only: every other start would wait for it.
  const { openLmdbStore } = await import("../jobs/lmdb/lmdb-store.js");
  const store = await openLmdbStore({ dir: join(data, "jobs"), bytesMax, log });
  return { store, queue: new LocalQueue(store) };
}
