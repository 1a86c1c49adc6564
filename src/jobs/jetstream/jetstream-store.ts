/**
 * READ FIRST of this folder. A `JobStore` on NATS JetStream, shared by all servers of a deployment (docs/inside/jobs-nats.md). Accepted
 * means acknowledged by JetStream. What must be one step is one message: a record's next revision, the results of one chunk, the
 * fence of a job that ended.
 *
 *   session.ts   one connection after the other      records.ts        heads, and an index of them in memory
 *   names.ts     subjects and streams                progress-book.ts  what is done, from the stream of results
 *   bodies.ts    chunks and results as messages      store-files.ts, store-jobs.ts, store-upkeep.ts   the operations
 */
import type { NatsLink } from "../../nats/connection.js";
import { messageOf } from "../../work/thrown.js";
import type { ChunkQueue } from "../chunk-queue.js";
import type { JobListener, JobStore } from "../store.js";
import { Bodies } from "./bodies.js";
import { Feed } from "./feed.js";
import { JetStreamQueue, type JetStreamQueueOptions } from "./jetstream-queue.js";
import { Names } from "./names.js";
import { ProgressBook } from "./progress-book.js";
import { RecordIndex, Records } from "./records.js";
import { type Nats, type StoreLog, type StoreLoss, StoreSession } from "./session.js";
import { StoreFiles } from "./store-files.js";
import { StoreJobs } from "./store-jobs.js";
import { StoreUpkeep } from "./store-upkeep.js";
import { StoreUsage } from "./usage.js";

export interface JetStreamStoreOptions {
  readonly replicas: number;
  readonly bytesMax: number;
  readonly log: StoreLog;
  /** How long an operation waits for NATS that is away. Default: ten seconds. */
  readonly waitMsMax?: number;
  /**
   * Of what happens in the store, whoever does it. False: of nothing, and what is needed is asked for; such a server runs chunks, and
   * lists, progress, ends and clean-up are for others. Default: true.
   */
  readonly hearsAll?: boolean;
  /** A file whose writer says nothing for so long is taken away. Default: a minute. */
  readonly abandonedMs?: number;
}

export interface JetStreamStore extends JobStore {
  /** What NATS lost, if it ever came back without what it had acknowledged. */
  loss(): StoreLoss | null;
  /** Chunks of jobs of this store, for all its servers. It ends with the store at the latest. */
  openQueue(options?: JetStreamQueueOptions): ChunkQueue;
}

const defaults = { waitMsMax: 10_000, abandonedMs: 60_000, hearsAll: true };
const startMsMax = 300_000;
/** A server that starts without NATS has others waiting for what it does without. */
const reachedMsMax = 2_000;

/**
 * Waits for NATS as an operation does, if it is reached at all; where it is not, what is asked of the store fails until it is there.
 *
 * @throws MillraceError `data_invalid` where the store is of a newer version
 */
export async function openJetStreamStore(
  link: NatsLink,
  options: JetStreamStoreOptions,
): Promise<JetStreamStore> {
  const heard = new Heard(link, { ...defaults, ...options });
  const store = storeOf(heard, { ...defaults, ...options });
  try {
    const isReached = await isConnectedIn(link, reachedMsMax);
    if (!isReached || !(await heard.session.opened())) {
      const { reason } = heard.session;
      const message = "the job store in NATS is not there yet; jobs wait, and all else works";
      options.log.warn({ reason }, message);
    }
    return store;
  } catch (error) {
    await store[Symbol.asyncDispose]();
    throw error;
  }
}

async function isConnectedIn(link: NatsLink, ms: number): Promise<boolean> {
  try {
    await link.whenConnected(AbortSignal.timeout(ms));
    return true;
  } catch {
    return false;
  }
}

type Settings = JetStreamStoreOptions & typeof defaults;

/** The session, and what is heard over it of what happens in the store. */
class Heard {
  readonly names: Names;
  readonly index: RecordIndex;
  readonly session: StoreSession;
  readonly records: Records;
  readonly feed: Feed;
  readonly progress: ProgressBook;
  readonly usage: StoreUsage;
  readonly log: StoreLog;
  readonly listeners = new Set<JobListener>();
  readonly queues = new Set<JetStreamQueue>();

  readonly link: NatsLink;
  readonly hearsAll: boolean;

  constructor(link: NatsLink, { replicas, waitMsMax, bytesMax, hearsAll, log }: Settings) {
    this.log = log;
    this.link = link;
    this.hearsAll = hearsAll;
    this.names = new Names(link.prefix);
    const { names } = this;
    this.index = new RecordIndex(names, { hearsAll });
    this.feed = new Feed({
      stream: names.records,
      isHeadersOnly: false,
      onMessage: (message) => {
        const jobId = this.index.take(message);
        if (jobId !== null) this.onChanged(jobId, "job");
      },
      log,
    });
    this.session = new StoreSession({
      link,
      names,
      log,
      replicas,
      waitMsMax,
      onLost: () => this.#forget(),
      onConnected: (nats) => this.#start(nats),
      onAway: () => {
        this.stop().catch((error: unknown) => {
          log.warn({ reason: messageOf(error) }, "a consumer in NATS did not end well");
        });
      },
      onRemade: (streams) => {
        // Who does not hear of all jobs knows them not: others find the queue empty within half a minute.
        if (hearsAll && streams.includes(names.work)) this.#offerAgain();
      },
    });
    const { session, index } = this;
    this.records = new Records(session, names);
    const { records, onChanged } = this;
    const seen = { session, names, records, index, log, onChanged };
    this.progress = new ProgressBook({ ...seen, hearsAll });
    this.usage = new StoreUsage({ session, names, bytesMax, log });
  }

  readonly onChanged: JobListener = (jobId, what) => {
    for (const listener of this.listeners) listener(jobId, what);
  };

  async stop(): Promise<void> {
    await Promise.all([this.feed.stop(), this.progress.stop()]);
  }

  async #start(nats: Nats): Promise<void> {
    if (this.hearsAll) await this.feed.start(nats, startMsMax);
    await this.progress.start(nats);
    await this.usage.refreshFrom(nats);
  }

  #offerAgain(): void {
    for (const queue of this.queues) {
      queue.offerAgain().catch((error: unknown) => {
        this.log.error({ reason: messageOf(error) }, "open jobs could not be offered again");
      });
    }
  }

  /** The store that was known is gone. Gives what was in it. */
  #forget(): Omit<StoreLoss, "atMs"> {
    const jobs = [...this.index.jobs.values()];
    const openJobs = jobs.filter(({ open }) => open !== null).length;
    const loss = { jobs: jobs.length, openJobs, files: this.index.files.size };
    this.index.clear();
    this.feed.moveTo(0);
    this.progress.clear();
    for (const { id } of jobs) this.onChanged(id, "job");
    return loss;
  }
}

function storeOf(heard: Heard, { abandonedMs }: Settings): JetStreamStore {
  const { session, names, index, records, feed, progress, usage, log, listeners } = heard;
  const bodies = new Bodies(session, names);
  const seen = { session, names, index, records, feed, progress, usage, log };
  const parts = { ...seen, bodies, abandonedMs, onChanged: heard.onChanged };
  const files = new StoreFiles(parts);
  const jobs = new StoreJobs({ ...parts, files });
  const upkeep = new StoreUpkeep({ ...parts, files, jobs });
  return {
    usage: () => ({ bytes: usage.bytes, bytesMax: usage.bytesMax }),
    beginFile: (head) => files.begin(head),
    file: (id) => files.get(id),
    files: (query) => files.list(query),
    chunk: (id, at) => files.chunk(id, at),
    deleteFile: (id) => files.remove(id),
    createJob: (job) => jobs.create(job),
    job: (id) => jobs.get(id),
    jobs: (query) => jobs.list(query),
    openJobs: () => jobs.open(),
    openCount: (tenant) => Promise.resolve(index.open.of(tenant)),
    requestedJob: (owner, key) => jobs.requested(owner, key),
    changeJob: (id, change, derived) => jobs.change(id, change, derived),
    deleteJob: (id) => jobs.remove(id),
    commit: (id, results) => jobs.commit(id, results),
    results: (id, at) => jobs.results(id, at),
    nextUndone: (id, from) => jobs.nextUndone(id, from),
    onJobChanged: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    removeExpired: (nowMs) => upkeep.removeExpired(nowMs),
    keptTimeMs: () => upkeep.keptTimeMs(),
    keepTimeMs: (nowMs) => upkeep.keepTimeMs(nowMs),
    reason: () => session.reason,
    loss: () => session.loss,
    openQueue: (options = {}) => {
      const { link, hearsAll, onChanged } = heard;
      // Who hears of all jobs needs no question to look at one.
      const onAsked = hearsAll ? (): void => {} : (id: string): void => onChanged(id, "job");
      const queueParts = { link, session, names, index, jobs, log, onAsked };
      const queue = new JetStreamQueue(queueParts, options);
      heard.queues.add(queue);
      return queue;
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all([...heard.queues].map((queue) => queue[Symbol.asyncDispose]()));
      upkeep.close();
      await files.close();
      usage.close();
      await heard.stop();
      await session.close();
      listeners.clear();
    },
  };
}
