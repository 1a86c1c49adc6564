/** Where a server keeps its jobs: with others of its deployment in JetStream, else in its own folder, else nowhere. */
import { openJetStreamStore } from "./jetstream/jetstream-store.js";
import { type OpenJobs, openJobWork } from "./job-work.js";
import { openLmdbStore } from "./lmdb/lmdb-store.js";
import { LocalQueue } from "./local-queue.js";

/**
 * Null: the options name neither a folder nor NATS.
 *
 * @throws MillraceError `data_in_use`, `data_invalid`
 */
export const openKeptJobs: OpenJobs = async (parts, link) => {
  const { data, jobsBytesMax: bytesMax, natsReplicas: replicas, role } = parts.options;
  const { log } = parts;
  if (link !== null) {
    const store = await openJetStreamStore(link, { replicas, bytesMax, log });
    // An edge has no pipelines: it accepts, and others run.
    return await openJobWork({ ...parts, store, queue: store.openQueue(), runs: role !== "edge" });
  }
  if (data === null) return null;
  const store = await openLmdbStore({ dir: data, bytesMax, log });
  return await openJobWork({ ...parts, store, queue: new LocalQueue(store) });
};
