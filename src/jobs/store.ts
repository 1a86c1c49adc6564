/**
 * READ FIRST of this room. The seam between durable jobs and where they lie: LMDB in a folder (lmdb/), JetStream where NATS is
 * (jetstream/). One suite holds both to it (test/conformance/job-store). A store moves bytes and counts them; it reads neither the
 * lines of a file nor the results of a job.
 *
 *   file   head ─► chunk 0 │ chunk 1 │ …      whole lines each, verbatim: together they are the file, to the byte
 *   job    record ─► file;  results of chunk 0 │ of chunk 1 │ …      one commit each, never two
 *
 * A chunk is the unit of everything: of reading, of running, of committing, of running again after a crash.
 */
import type { JobState, WireError, WorkClass } from "millrace-client/wire";
import type { KeyAmount, KeyReceipt } from "../access/access.js";
import type { JsonObject } from "../work/payload.js";
import type { OpenCount } from "./open-tally.js";

export interface JobStore extends AsyncDisposable {
  /** Bytes that everything in the store takes, and the most that they may. From memory. */
  usage(): { readonly bytes: number; readonly bytesMax: number };
  /** Why it cannot be used just now, for people; null: it can. What is asked of it then may wait, and fails. From memory. */
  reason(): string | null;

  /** @throws MillraceError `job_store_full`, `job_store_failed` */
  beginFile(head: NewFile): Promise<FileWriting>;
  file(id: string): Promise<StoredFile | null>;
  /** In the order in which they were made. */
  files(query: PageQuery): Promise<readonly StoredFile[]>;
  /** Null behind the last one. @throws MillraceError `job_data_lost`: it is damaged or gone, and stays so */
  chunk(fileId: string, index: number): Promise<Chunk | null>;
  /** False: there is none. What jobs read from it is gone with it: whoever calls this looks for them first. */
  deleteFile(id: string): Promise<boolean>;

  /**
   * On disk when it resolves. A `requestKey` that its owner has used, and that is not forgotten yet, gives the job that it made then.
   *
   * @throws MillraceError `job_store_full`, `job_store_failed`
   */
  createJob(job: NewJob): Promise<{ readonly job: StoredJob; readonly isNew: boolean }>;
  job(id: string): Promise<StoredJob | null>;
  /** The job that its owner's request of this key made; null: none, or it is forgotten. */
  requestedJob(owner: string | null, requestKey: string): Promise<StoredJob | null>;
  /** In the order in which they were made. */
  jobs(query: PageQuery): Promise<readonly StoredJob[]>;
  /** Those that have not ended, oldest first. */
  openJobs(): Promise<readonly StoredJob[]>;
  /** Of those, without a look at any; one that another server has just made may be missing. */
  openCount(tenant: string): Promise<OpenCount>;
  /**
   * Reads, changes and writes in one transaction, on disk when it resolves; `change` may be called again where somebody else was
   * faster, and returns null to leave it. `files` are made in the same transaction. Where it ends with lines that were not run, its
   * input is kept as long as it is: they are told from there. Null: there is no such job.
   */
  changeJob(
    id: string,
    change: (job: StoredJob) => JobChange | null,
    files?: readonly DerivedFile[],
  ): Promise<StoredJob | null>;
  /** With its results, its own input, and the files that are made of its results. False: there is none. */
  deleteJob(id: string): Promise<boolean>;

  /**
   * The results of one chunk and the progress, in one transaction, on disk when it resolves. False, and nothing is written: the chunk
   * has results already, or the job has ended or is gone. Written also when the store is full: what was accepted is finished.
   *
   * @throws MillraceError `job_store_failed`
   */
  commit(jobId: string, results: ChunkResults): Promise<boolean>;
  /** Null: not yet. @throws MillraceError `job_data_lost`: they are damaged, and stay so */
  results(jobId: string, chunkIndex: number): Promise<ChunkResults | null>;
  /** The first chunk from this one on that has no results; the job's `chunks` where all have. */
  nextUndone(jobId: string, fromChunk: number): Promise<number>;

  /**
   * Tells of each change of a job (made, changed, committed, deleted), whoever made it, here or on another machine; maybe more often.
   * Gives what ends it.
   */
  onJobChanged(listener: JobListener): () => void;

  /** Jobs that have ended, files and request keys whose time is over. A file stays as long as a job reads it that has not ended. How many. */
  removeExpired(nowMs: number): Promise<number>;
  /** The latest time that was kept, so that a clock that was set back makes nothing young again. */
  keptTimeMs(): Promise<number>;
  keepTimeMs(nowMs: number): Promise<void>;
}

/** `results`: nothing but that more of its chunks have results, and not all of them; a store that does not look closer says `job`. */
export type JobListener = (jobId: string, what: "job" | "results") => void;

export interface PageQuery {
  /** Null: of everybody. */
  readonly owner: string | null | undefined;
  /**
   * The one before the first, by its sequence or by its id. One that was deleted keeps its place for `placeKeptMs`; an id that had none in this list
   * is `bad_request` with `after` as param. Default: from the beginning.
   */
  readonly after?: string | number;
  readonly limit: number;
  /** Default: `asc`. */
  readonly order?: "asc" | "desc";
}

/** Whoever deletes what they list, a page at a time, goes on behind what they have just deleted. */
export const placeKeptMs = 3_600_000;

/** Where something is, or was, in the lists. */
export interface ListPlace {
  readonly owner: string | null;
  readonly sequence: number;
}

export interface NewFile {
  readonly id: string;
  readonly owner: string | null;
  readonly name: string;
  readonly purpose: string;
  readonly createdAtMs: number;
  /** Null: kept until it is deleted. Of an internal one: until a job has it. */
  readonly expiresAtMs: number | null;
  /** Of a job that has it alone, and takes it with it. It is in no list. */
  readonly isInternal: boolean;
  /** What its lines are counted as for a key (line-amount.ts); null: nobody has counted. */
  readonly amount: KeyAmount | null;
}

export type LateFile = Partial<Pick<NewFile, "purpose" | "expiresAtMs" | "amount">>;

export interface FileWriting {
  /**
   * Waits for the store. At most `chunkBytesMax` of one chunk, but for a line that is longer.
   *
   * @throws MillraceError `job_store_full`, `job_store_failed`
   */
  add(chunk: Omit<Chunk, "index">): Promise<void>;
  /** On disk when it resolves; before it nobody sees the file. `late`: what came to be known of it only behind its bytes. */
  finish(late?: LateFile): Promise<StoredFile>;
  /** Leaves nothing. After `finish`: nothing. What is neither, because the process died, is cleared at the next start. */
  abort(): Promise<void>;
}

export interface StoredFile extends NewFile {
  /** Grows from one to the next, whatever the clock says. */
  readonly sequence: number;
  readonly bytes: number;
  readonly lines: number;
  readonly chunks: number;
  /** Made of a job's results: it has no chunks of its own. */
  readonly of: { readonly jobId: string; readonly which: "output" | "error" } | null;
}

/** A file that is made of a job's results. */
export type DerivedFile = Omit<StoredFile, "sequence" | "chunks">;

export interface Chunk {
  readonly index: number;
  /** Of the file, from 0. */
  readonly firstLine: number;
  readonly lines: number;
  /** Whole lines with their ends; only the file's last one may lack it. */
  readonly bytes: Uint8Array;
}

/** Lines and bytes of a chunk, whatever the store. */
export const chunkLimits: { readonly linesMax: number; readonly bytesMax: number } = {
  linesMax: 128,
  bytesMax: 64 * 1024,
};

export interface ChunkResults {
  readonly index: number;
  readonly firstLine: number;
  /** That have a result here; fewer than the chunk has, where the job ended before. */
  readonly lines: number;
  readonly succeeded: number;
  readonly failed: number;
  /** Of the output, and of the file of errors. */
  readonly outputBytes: number;
  readonly errorBytes: number;
  /** Written and read by the runner (chunk-results.ts). */
  readonly body: Uint8Array;
}

export interface NewJob {
  readonly id: string;
  readonly owner: string | null;
  /** Of the owner, for `requestKeyUntilMs`: the same request sent again. */
  readonly requestKey: string | null;
  readonly requestKeyUntilMs: number | null;
  /** Of all that the request said, so that another one under the same key is noticed. Null where there is no key. */
  readonly requestHash: string | null;
  readonly caller: StoredCaller;
  /** Whose share its work counts to. */
  readonly tenant: string;
  /** Its words: what its lines are, and what its results look like. */
  readonly form: JobForm;
  readonly fileId: string;
  readonly createdAtMs: number;
  /** Ends it as `expired`; null: never. */
  readonly deadlineAtMs: number | null;
  /** How long it is kept from its end. */
  readonly keptMs: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly callbackUrl: string | null;
  readonly state: JobState;
  /** What was counted for its key when it was made, whoever runs it; null: nobody counts. */
  readonly receipt: KeyReceipt | null;
}

/** `native`: a line is an input as JSON or a request's fields. `requests`: a line names its request, as OpenAI's batches do. */
export type JobForm =
  | {
      readonly kind: "native";
      readonly task: string;
      readonly model: string | null;
      readonly fields: JsonObject;
    }
  | { readonly kind: "requests"; readonly endpoint: string; readonly window: string };

/** A `Caller` (work/caller.ts) as it asked; what its key may is looked up again whenever its work is run. */
export interface StoredCaller {
  readonly key: string | null;
  readonly keyId: string | null;
  readonly tenant: string | null;
  readonly classes: readonly WorkClass[] | null;
  readonly models: readonly string[] | null;
  readonly isAdmin: boolean;
}

export interface StoredJob extends NewJob {
  /** As of files, and among them: a job's is larger than its input's. */
  readonly sequence: number;
  /** Of its file. */
  readonly lines: number;
  readonly chunks: number;
  readonly progress: JobProgress;
  readonly startedAtMs: number | null;
  readonly finalizingAtMs: number | null;
  readonly cancellingAtMs: number | null;
  readonly endedAtMs: number | null;
  /** Set when it has ended: then it goes. */
  readonly expiresAtMs: number | null;
  readonly errors: readonly JobLineError[];
  readonly outputFileId: string | null;
  readonly errorFileId: string | null;
  /** When `callbackUrl` was told of the end, or was given up; null before. */
  readonly calledAtMs: number | null;
  /** Which server is telling of the end just now, and until when nobody else does; null: nobody. */
  readonly calling: { readonly by: string; readonly untilMs: number } | null;
  /** Counted for its key and not run, when it had ended; null: nothing, or it was given back. */
  readonly owed: KeyAmount | null;
}

export interface JobProgress {
  /** Chunks with results. */
  readonly chunks: number;
  readonly succeeded: number;
  readonly failed: number;
  readonly outputBytes: number;
  readonly errorBytes: number;
}

/** Why a job failed as a whole; `line` from 1. */
export interface JobLineError extends WireError {
  readonly line?: number;
  /** The code that the job's form has for it, where that is not ours. */
  readonly word?: string;
}

export type JobChange = Partial<
  Pick<
    StoredJob,
    | "state"
    | "startedAtMs"
    | "finalizingAtMs"
    | "cancellingAtMs"
    | "endedAtMs"
    | "expiresAtMs"
    | "errors"
    | "outputFileId"
    | "errorFileId"
    | "calledAtMs"
    | "calling"
    | "owed"
  >
>;

/** What a job has beyond what it was made with, before anything became of it; `progress` beside it. */
export const freshJob: Omit<
  StoredJob,
  keyof NewJob | "sequence" | "lines" | "chunks" | "progress"
> = {
  startedAtMs: null,
  finalizingAtMs: null,
  cancellingAtMs: null,
  endedAtMs: null,
  expiresAtMs: null,
  errors: [],
  outputFileId: null,
  errorFileId: null,
  calledAtMs: null,
  calling: null,
  owed: null,
};

export const noProgress: JobProgress = {
  chunks: 0,
  succeeded: 0,
  failed: 0,
  outputBytes: 0,
  errorBytes: 0,
};

/** How long the input of a job that has ended is needed; null: it is not, for each of its lines has its result. */
export function inputNeededUntilMs(job: StoredJob): number | null {
  const { progress, lines, expiresAtMs } = job;
  return hasEnded(job) && progress.succeeded + progress.failed < lines ? expiresAtMs : null;
}

/** Nothing is run any more, and nothing changes. */
export function hasEnded({ state }: Pick<StoredJob, "state">): boolean {
  return (
    state === "completed" || state === "failed" || state === "cancelled" || state === "expired"
  );
}
