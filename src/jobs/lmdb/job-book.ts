/** Jobs, their results and their requests' keys, as they lie in the tables. Inside a transaction. */
import { MillraceError } from "millrace-client/wire";
import {
  type ChunkResults,
  freshJob,
  hasEnded,
  inputNeededUntilMs,
  type NewJob,
  noProgress,
  type PageQuery,
  type StoredJob,
} from "../store.js";
import type { JobChanging, JobRecord, Writes } from "./calls.js";
import { type FileBook, nextSequence } from "./file-book.js";
import { isKey, ownerKey, pageOf, requestKeyOf } from "./keys.js";
import { keepPlace } from "./places.js";
import type { Tables } from "./tables.js";

export class JobBook {
  readonly #tables: Tables;
  readonly #files: FileBook;

  constructor(tables: Tables, files: FileBook) {
    this.#tables = tables;
    this.#files = files;
  }

  /** The job that this request made before; null: none. */
  madeBefore({ owner, requestKey }: Pick<NewJob, "owner" | "requestKey">): StoredJob | null {
    if (requestKey === null) return null;
    const kept = this.#tables.get("requestKeys", requestKeyOf(owner, requestKey))?.head;
    return kept === undefined ? null : this.job((kept as RequestKey).jobId);
  }

  create(job: NewJob): StoredJob {
    const { id, owner, requestKey, requestKeyUntilMs } = job;
    const t = this.#tables;
    if (!isKey(id) || t.has("jobs", id) || t.has("graves", ["results", id])) {
      throw new MillraceError("internal", `a job cannot be called ${id}`);
    }
    const file = this.#files.file(job.fileId);
    if (file === null) throw new MillraceError("file_not_found", `there is no file ${job.fileId}`);
    const sequence = nextSequence(t);
    const { lines, chunks } = file;
    const stored: StoredJob = {
      ...job,
      ...freshJob,
      progress: noProgress,
      sequence,
      lines,
      chunks,
    };
    this.#put({ job: stored, revision: 0 });
    this.#files.use(file);
    t.put("jobsInOrder", [ownerKey(null), sequence], { id });
    if (owner !== null) t.put("jobsInOrder", [ownerKey(owner), sequence], { id });
    if (!hasEnded(stored)) t.put("openJobs", sequence, { id });
    if (requestKey !== null) this.#keepKey({ owner, requestKey, requestKeyUntilMs, jobId: id });
    return stored;
  }

  record(id: string): JobRecord | null {
    if (!isKey(id)) return null;
    return (this.#tables.get("jobs", id)?.head as JobRecord | undefined) ?? null;
  }

  job(id: string): StoredJob | null {
    return this.record(id)?.job ?? null;
  }

  /** Null also where it is damaged: for whoever looks at many, of which the others shall go on. */
  intact(id: string): StoredJob | null {
    if (!isKey(id)) return null;
    const head = this.#tables.intact("jobs", id)?.head as JobRecord | undefined;
    return head?.job ?? null;
  }

  page(query: PageQuery): readonly StoredJob[] {
    return pageOf(this.#tables, query, { name: "jobsInOrder", find: (id) => this.intact(id) });
  }

  open(): readonly StoredJob[] {
    const jobs: StoredJob[] = [];
    for (const at of this.#tables.keys("openJobs", {})) {
      const id = this.#tables.idAt("openJobs", at);
      const job = id === null ? null : this.intact(id);
      if (job !== null) jobs.push(job);
    }
    return jobs;
  }

  change({ id, revision, change, files }: JobChanging): ReturnType<Writes["changeJob"]> {
    const record = this.record(id);
    if (record === null) return null;
    if (record.revision !== revision) return { record, isChanged: false };
    const job: StoredJob = { ...record.job, ...change };
    const before = record.job.expiresAtMs;
    if (before !== job.expiresAtMs) {
      if (before !== null) this.#tables.remove("expiries", [before, "job", id]);
      if (job.expiresAtMs !== null) this.#tables.put("expiries", [job.expiresAtMs, "job", id], {});
    }
    if (hasEnded(job)) this.#tables.remove("openJobs", job.sequence);
    this.#files.keepUntil(job.fileId, inputNeededUntilMs(job));
    for (const file of files) this.#files.derive(file);
    const changed = { job, revision: revision + 1 };
    this.#put(changed);
    return { record: changed, isChanged: true };
  }

  /** One that is damaged is left where it is: what belongs to it is not known any more. */
  remove(id: string): boolean {
    const job = this.intact(id);
    if (job === null) return false;
    const t = this.#tables;
    const { owner, sequence, expiresAtMs, fileId, outputFileId, errorFileId, progress } = job;
    t.remove("jobs", id);
    t.remove("jobsInOrder", [ownerKey(null), sequence]);
    if (owner !== null) t.remove("jobsInOrder", [ownerKey(owner), sequence]);
    keepPlace(t, "jobsInOrder", job);
    t.remove("openJobs", sequence);
    if (expiresAtMs !== null) t.remove("expiries", [expiresAtMs, "job", id]);
    if (progress.chunks > 0) t.put("graves", ["results", id], {});
    if (this.#files.intact(fileId)?.isInternal === true) this.#files.remove(fileId);
    for (const made of [outputFileId, errorFileId]) if (made !== null) this.#files.remove(made);
    return true;
  }

  commit(jobId: string, { body, ...head }: ChunkResults): boolean {
    const record = this.record(jobId);
    if (record === null || hasEnded(record.job)) return false;
    const { index } = head;
    if (index < 0 || index >= record.job.chunks || !Number.isInteger(index)) {
      throw new MillraceError("internal", `the job ${jobId} has no chunk ${index}`);
    }
    if (this.#tables.has("results", [jobId, index])) return false;
    this.#tables.putLarge("results", [jobId, index], { head, body });
    const { progress } = record.job;
    const job: StoredJob = {
      ...record.job,
      progress: {
        chunks: progress.chunks + 1,
        succeeded: progress.succeeded + head.succeeded,
        failed: progress.failed + head.failed,
        outputBytes: progress.outputBytes + head.outputBytes,
        errorBytes: progress.errorBytes + head.errorBytes,
      },
    };
    this.#put({ job, revision: record.revision + 1 });
    return true;
  }

  results(jobId: string, chunkIndex: number): ChunkResults | null {
    if (this.record(jobId) === null) return null;
    const value = this.#tables.get("results", [jobId, chunkIndex]);
    if (value === null) return null;
    return { ...(value.head as Omit<ChunkResults, "body">), body: value.body };
  }

  nextUndone(jobId: string, fromChunk: number): number {
    const job = this.job(jobId);
    if (job === null) return fromChunk;
    if (job.progress.chunks === job.chunks) return job.chunks;
    let next = fromChunk;
    const range = { start: [jobId, fromChunk], end: [jobId, job.chunks] };
    for (const key of this.#tables.keys("results", range)) {
      if (!Array.isArray(key) || key[1] !== next) break;
      next += 1;
    }
    return next;
  }

  /** @param key as it lies in the table */
  forget(key: string): boolean {
    const had = this.#tables.has("requestKeys", key);
    if (had) this.#tables.remove("requestKeys", key);
    return had;
  }

  #keepKey({ owner, requestKey, requestKeyUntilMs: untilMs, jobId }: KeyToKeep): void {
    const key = requestKeyOf(owner, requestKey);
    const t = this.#tables;
    const before = t.get("requestKeys", key)?.head as RequestKey | undefined;
    if (before !== undefined && before.untilMs !== null) {
      t.remove("expiries", [before.untilMs, "key", key]);
    }
    t.put("requestKeys", key, { jobId, untilMs } satisfies RequestKey);
    if (untilMs !== null) t.put("expiries", [untilMs, "key", key], {});
  }

  #put(record: JobRecord): void {
    this.#tables.put("jobs", record.job.id, record);
  }
}

interface RequestKey {
  readonly jobId: string;
  readonly untilMs: number | null;
}

interface KeyToKeep extends Pick<NewJob, "owner" | "requestKeyUntilMs"> {
  readonly requestKey: string;
  readonly jobId: string;
}
