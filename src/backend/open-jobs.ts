/** Durable jobs as the options have them: where they are kept, and who has the next chunk. */
import { join } from "node:path";
import type { ChunkQueue } from "../jobs/chunk-queue.js";
import { type JobWork, type OpenJobsParts, openJobWork } from "../jobs/job-work.js";
import { LocalQueue } from "../jobs/local-queue.js";
import type { JobStore } from "../jobs/store.js";
import type { NatsLink } from "../nats/connection.js";

/**
 * With others of its deployment in JetStream where there is a `link`, else in its own folder. Null: the options name no place.
 *
 * @throws MillraceError `data_in_use`, `data_invalid`
 */
export async function openJobs(
  parts: OpenJobsParts,
  link: NatsLink | null,
): Promise<JobWork | null> {
  const place = link === null ? await openFolder(parts) : await openShared(parts, link);
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
  /** False: others of the deployment run them, or see to what becomes of them. */
  readonly runs: boolean;
  readonly keeps: boolean;
}

/** Libraries are loaded where jobs are kept only: every other start would wait for them. */
async function openFolder({ options, log }: OpenJobsParts): Promise<JobsPlace | null> {
  const { data, jobsBytesMax: bytesMax } = options;
  if (data === null) return null;
  const { openLmdbStore } = await import("../jobs/lmdb/lmdb-store.js");
  const store = await openLmdbStore({ dir: join(data, "jobs"), bytesMax, log });
  return { store, queue: new LocalQueue(store), runs: true, keeps: true };
}

async function openShared({ options, log }: OpenJobsParts, link: NatsLink): Promise<JobsPlace> {
  const { jobsBytesMax: bytesMax, natsReplicas: replicas, role } = options;
  const { openJetStreamStore } = await import("../jobs/jetstream/jetstream-store.js");
  // An edge has no pipelines: it accepts, and others run. A node has no callers: it runs, and others accept and end.
  const [runs, keeps] = [role !== "edge", role !== "node"];
  const store = await openJetStreamStore(link, { replicas, bytesMax, hearsAll: keeps, log });
  return { store, queue: store.openQueue(), runs, keeps };
}
