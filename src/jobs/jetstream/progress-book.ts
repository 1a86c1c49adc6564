/** What of each job is done, from the stream of results; and where a job ends, its fence in that stream. */
import type { JsMsg } from "@nats-io/jetstream";
import { MillraceError } from "millrace-client/wire";
import { messageOf } from "../../work/thrown.js";
import { hasEnded, type JobProgress } from "../store.js";
import { isTaken, numbersOf } from "./bodies.js";
import { Feed } from "./feed.js";
import type { Names } from "./names.js";
import type { Found, JobRecord, RecordIndex, Records } from "./records.js";
import type { Nats, Session, StoreLog } from "./session.js";
import { readResultNumbers, Tally } from "./tallies.js";

const waitMsMax = 10_000;
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
  readonly session: Session;
  readonly names: Names;
  readonly records: Records;
  readonly index: RecordIndex;
  readonly log: StoreLog;
  readonly onChanged: (jobId: string) => void;
}

export class ProgressBook {
  readonly #options: ProgressBookOptions;
  readonly #feed: Feed;
  readonly #open = new Map<string, Tally>();
  readonly #ended = new Map<string, Tally>();

  constructor(options: ProgressBookOptions) {
    this.#options = options;
    this.#feed = new Feed({
      stream: options.names.results,
      isHeadersOnly: true,
      onMessage: (message) => this.#take(message),
    });
  }

  /** Of a job that is made now no result is before this. */
  get resultsFrom(): number {
    return this.#feed.position + 1;
  }

  /** The first time from the oldest result that an open job may have; after that from where it was. */
  async start(nats: Nats): Promise<void> {
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

  /** Of an open job, as far as this server has heard. */
  of(jobId: string): Tally {
    const known = this.#open.get(jobId);
    if (known !== undefined) return known;
    const made = new Tally();
    this.#open.set(jobId, made);
    return made;
  }

  progress({ job, sealed }: JobRecord): JobProgress {
    return sealed?.progress ?? this.#open.get(job.id)?.progress() ?? nothing;
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
  async sealed(found: Found<JobRecord>): Promise<Found<JobRecord>> {
    const { record } = found;
    const { id } = record.job;
    if (!hasEnded(record.job) || record.sealed !== null) return found;
    const fence = await this.putFence(id);
    if (!(await this.#feed.reaches(fence, waitMsMax))) {
      throw new MillraceError("job_store_failed", `the results of ${id} are not heard of in time`);
    }
    const progress = this.#open.get(id)?.progress() ?? nothing;
    const sealed: JobRecord = {
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
      this.#keepEnded(id, this.of(id));
      return made;
    }
    const other = await records.get("job", id);
    return other?.record.is === "job"
      ? await this.sealed({ record: other.record, revision: other.revision })
      : { record: sealed, revision: found.revision };
  }

  /** Also of a job that ended, whose results are looked at again then. */
  async tally(jobId: string): Promise<Tally> {
    const { session, names, index } = this.#options;
    const fence = index.jobs.get(jobId)?.fence ?? null;
    if (fence === null) return this.of(jobId);
    const known = this.#ended.get(jobId);
    if (known !== undefined) return known;
    const tally = new Tally();
    tally.fence = fence;
    const feed = new Feed({
      stream: names.results,
      filter: names.result(jobId, ">"),
      isHeadersOnly: true,
      onMessage: (message) => this.#add(tally, message),
    });
    try {
      await session.run((nats) => feed.start(nats, startMsMax));
    } finally {
      await feed.stop();
    }
    this.#keepEnded(jobId, tally);
    return tally;
  }

  #keepEnded(jobId: string, tally: Tally): void {
    this.#open.delete(jobId);
    this.#ended.set(jobId, tally);
    for (const oldest of this.#ended.keys()) {
      if (this.#ended.size <= endedTalliesMax) break;
      this.#ended.delete(oldest);
    }
  }

  #take(message: JsMsg): void {
    const { names, index, onChanged } = this.#options;
    const [kind, jobId] = names.tokens(message.subject);
    if (jobId === undefined) return;
    const fence = index.jobs.get(jobId)?.fence;
    // It is final, whatever comes.
    if (fence !== null && fence !== undefined) return;
    if (kind === "fence") this.of(jobId).fence ??= message.seq;
    else if (this.#add(this.of(jobId), message)) onChanged(jobId);
  }

  #add(tally: Tally, message: JsMsg): boolean {
    const chunk = Number(this.#options.names.tokens(message.subject)[2]);
    if (!Number.isSafeInteger(chunk) || chunk < 0 || chunk > chunksMax) return false;
    try {
      return tally.add(chunk, message.seq, readResultNumbers(numbersOf(message.headers)));
    } catch (error) {
      const { subject } = message;
      this.#options.log.error({ subject, reason: messageOf(error) }, "a result cannot be read");
      return false;
    }
  }
}
