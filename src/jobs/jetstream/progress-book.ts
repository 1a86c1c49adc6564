/**
 * What of each job is done, from the stream of results; and where a job ends, its fence in that stream. A server that hears nothing of
 * results (jetstream-store.ts) knows nothing of progress and seals no job; what is done of one it reads when it has to know.
 */
import type { JsMsg } from "@nats-io/jetstream";
import { MillraceError } from "millrace-client/wire";
import { messageOf } from "../../work/thrown.js";
import { hasEnded, type JobListener, type JobProgress } from "../store.js";
import { isTaken, numbersOf } from "./bodies.js";
import { Feed } from "./feed.js";
import type { Names } from "./names.js";
import type { FoundRecord, KeptJob, RecordIndex, Records } from "./records.js";
import type { Nats, StoreLog, StoreSession } from "./session.js";
import { ChunkTally, type ResultNumbers, readResultNumbers } from "./tallies.js";

const waitMsMax = 10_000;
const heardMsMax = 1_000;
const startMsMax = 300_000;
/** Of jobs that have ended, whose results are read. */
const endedTalliesMax = 16;
/** More chunks than any file has: what claims so is not ours. */
const chunksMax = 2 ** 28;
const nothing: JobProgress = {
  chunks: 0,
  succeeded: 0,
  failed: 0,
  outputBytes: 0,
  errorBytes: 0,
};

export interface ProgressBookOptions {
  readonly session: StoreSession;
  readonly names: Names;
  readonly records: Records;
  readonly index: RecordIndex;
  readonly log: StoreLog;
  readonly hearsAll: boolean;
  readonly onChanged: JobListener;
}

export class ProgressBook {
  readonly #options: ProgressBookOptions;
  readonly #feed: Feed;
  readonly #open = new Map<string, ChunkTally>();
  readonly #ended = new Map<string, ChunkTally>();

  constructor(options: ProgressBookOptions) {
    this.#options = options;
    this.#feed = new Feed({
      stream: options.names.results,
      isHeadersOnly: true,
      onMessage: (message) => this.#take(message),
      log: options.log,
    });
  }

  /** Of a job that is made now no result is before this. */
  get resultsFrom(): number {
    return this.#feed.position + 1;
  }

  /** The first time from the oldest result that an open job may have; after that from where it was. */
  async start(nats: Nats): Promise<void> {
    if (!this.#options.hearsAll) return;
    if (this.#feed.position === 0) {
      const info = await nats.jsm.streams.info(this.#options.names.results);
      let from = info.state.last_seq + 1;
      for (const job of this.#options.index.jobs.values()) {
        if (job.fence === null) from = Math.min(from, job.resultsFrom);
      }
      this.#feed.moveTo(from - 1);
    }
    await this.#feed.start(nats, startMsMax);
  }

  stop(): Promise<void> {
    return this.#feed.stop();
  }

  clear(): void {
    this.#open.clear();
    this.#ended.clear();
    this.#feed.moveTo(0);
  }

  forget(jobId: string): void {
    this.#open.delete(jobId);
    this.#ended.delete(jobId);
  }

  /** Those of jobs that are nowhere any more. */
  forgetStrangers(): void {
    for (const id of this.#open.keys()) if (!this.#options.index.jobs.has(id)) this.forget(id);
  }

  /** As far as this server has heard; false may be wrong. */
  has(jobId: string, chunk: number): boolean {
    return this.#open.get(jobId)?.has(chunk) ?? this.#ended.get(jobId)?.has(chunk) ?? false;
  }

  /** Of an open job; empty where this server hears of no results. */
  heardOf(jobId: string): ChunkTally {
    return this.#options.hearsAll ? this.#of(jobId) : new ChunkTally();
  }

  /** What this server has stored itself, which it hears of later as well. */
  add(jobId: string, results: ResultNumbers & { readonly index: number }, sequence: number): void {
    if (!this.#options.hearsAll) return;
    if (this.#of(jobId).add(results.index, sequence, results)) this.#tell(jobId);
  }

  #of(jobId: string): ChunkTally {
    const known = this.#open.get(jobId);
    if (known !== undefined) return known;
    const made = new ChunkTally();
    this.#open.set(jobId, made);
    return made;
  }

  progress({ job, sealed }: KeptJob): JobProgress {
    return sealed?.progress ?? this.#open.get(job.id)?.progress() ?? nothing;
  }

  /** Results that are stored by now; one that was taken away again is waited for a second in vain. */
  async heardAll(): Promise<void> {
    const { session, names } = this.#options;
    const info = await session.run(({ jsm }) => jsm.streams.info(names.results));
    await this.#feed.reaches(info.state.last_seq, heardMsMax);
  }

  /** The fence's sequence in the stream of results; null: there is none. */
  async fenceOf(jobId: string): Promise<number | null> {
    const { session, names } = this.#options;
    const query = { last_by_subj: names.fence(jobId) };
    const fence = await session.run(({ jsm }) => jsm.streams.getMessage(names.results, query));
    return fence === null ? null : fence.seq;
  }

  /** From here on no result counts. Again: the first one stays. */
  async putFence(jobId: string): Promise<number> {
    const { session, names } = this.#options;
    return await session.run(async ({ js, jsm }) => {
      try {
        return (await js.publish(names.fence(jobId))).seq;
      } catch (error) {
        if (!isTaken(error)) throw error;
        const query = { last_by_subj: names.fence(jobId) };
        const there = await jsm.streams.getMessage(names.results, query);
        if (there === null) throw error;
        return there.seq;
      }
    });
  }

  /** A job that has ended gets its fence, and its progress for good; also where who ended it died before. */
  async sealed(found: FoundRecord<KeptJob>): Promise<FoundRecord<KeptJob>> {
    const { record } = found;
    const { id } = record.job;
    if (!hasEnded(record.job) || record.sealed !== null) return found;
    // Those that hear of results do.
    if (!this.#options.hearsAll) return found;
    const fence = await this.putFence(id);
    if (!(await this.#feed.reaches(fence, waitMsMax))) {
      throw new MillraceError("job_store_failed", `the results of ${id} are not heard of in time`);
    }
    const progress = this.#open.get(id)?.progress() ?? nothing;
    const sealed: KeptJob = {
      ...record,
      sequence: record.sequence ?? found.revision,
      sealed: { fence, progress },
    };
    const { records, index } = this.#options;
    const at = { kind: "job", id, expected: found.revision } as const;
    const revision = await records.put(at, sealed);
    if (revision !== null) {
      const made = { record: sealed, revision };
      index.apply("job", id, made);
      this.#keepEnded(id, this.#of(id));
      return made;
    }
    const other = await records.get("job", id);
    return other?.record.is === "job"
      ? await this.sealed({ record: other.record, revision: other.revision })
      : { record: sealed, revision: found.revision };
  }

  /** Also of a job that ended, whose results are looked at again then. Of an open one it goes on, where this server hears of results. */
  async tally(jobId: string): Promise<ChunkTally> {
    const { session, names, index, hearsAll, log } = this.#options;
    const fence = index.jobs.get(jobId)?.fence ?? null;
    if (fence === null && hearsAll) return this.#of(jobId);
    const known = this.#ended.get(jobId);
    if (known !== undefined) return known;
    const tally = new ChunkTally();
    tally.fence = fence;
    const feed = new Feed({
      stream: names.results,
      filter: names.result(jobId, ">"),
      isHeadersOnly: true,
      onMessage: (message) => this.#add(tally, message),
      log,
    });
    try {
      await session.run((nats) => feed.start(nats, startMsMax));
    } finally {
      // What cannot be ended now ends by itself.
      await feed.end().catch(() => {});
    }
    if (fence !== null) this.#keepEnded(jobId, tally);
    return tally;
  }

  #keepEnded(jobId: string, tally: ChunkTally): void {
    this.#open.delete(jobId);
    this.#ended.set(jobId, tally);
    for (const oldest of this.#ended.keys()) {
      if (this.#ended.size <= endedTalliesMax) break;
      this.#ended.delete(oldest);
    }
  }

  #take(message: JsMsg): void {
    const { names, index } = this.#options;
    const [kind, jobId] = names.tokens(message.subject);
    if (jobId === undefined) return;
    const fence = index.jobs.get(jobId)?.fence;
    // It is final, whatever comes.
    if (fence !== null && fence !== undefined) return;
    if (kind === "fence") this.#of(jobId).fence ??= message.seq;
    else if (this.#add(this.#of(jobId), message)) this.#tell(jobId);
  }

  /** A job that is being left may end with each of its results. */
  #tell(jobId: string): void {
    const { index, onChanged } = this.#options;
    const { open } = index.jobs.get(jobId) ?? { open: null };
    const { state, chunks } = open?.record.job ?? { state: null, chunks: 0 };
    const goesOn = state === "queued" || state === "in_progress";
    onChanged(jobId, goesOn && this.#of(jobId).chunks < chunks ? "results" : "job");
  }

  /** What cannot be read is not counted: who commits that chunk anew replaces it (bodies.ts). */
  #add(tally: ChunkTally, message: JsMsg): boolean {
    const chunk = Number(this.#options.names.tokens(message.subject)[2]);
    if (!Number.isSafeInteger(chunk) || chunk < 0 || chunk > chunksMax) return false;
    try {
      return tally.add(chunk, message.seq, readResultNumbers(numbersOf(message.headers)));
    } catch (error) {
      const { subject } = message;
      this.#options.log.error(
        { subject, reason: messageOf(error) },
        "results of a chunk cannot be read: it is run again",
      );
      return false;
    }
  }
}
