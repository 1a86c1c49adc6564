/**
 * What fronts see of durable jobs: files of lines that come in, jobs over them, results that go out. Whoever asks sees what their
 * key made, and nothing else; an administrator all of it.
 */
import type { JobStoreStatus, MillraceError } from "millrace-client/wire";
import type { Caller } from "../work/caller.js";
import type { JsonObject } from "../work/payload.js";
import type { JobForm, PageQuery, StoredFile, StoredJob } from "./store.js";

export interface Jobs {
  /** Of the store and of what is under way. From memory. */
  status(): JobStoreStatus;
  /**
   * Content is read as the store takes it, and lines are never held all together. On disk when it resolves.
   *
   * @throws MillraceError `job_store_full`, `body_too_large` (more than `jobFileBytesMax`), `draining`
   */
  upload(caller: Caller, file: Upload, content: AsyncIterable<Uint8Array>): Promise<StoredFile>;
  /** @throws MillraceError `file_not_found` */
  file(caller: Caller, id: string): Promise<StoredFile>;
  files(
    caller: Caller,
    query: Omit<PageQuery, "owner"> & { readonly purpose?: string },
  ): Promise<readonly StoredFile[]>;
  /** To the byte as it came; of a job's results in the order of its lines. @throws MillraceError `file_not_found` */
  content(caller: Caller, id: string): Promise<AsyncIterable<Uint8Array>>;
  /** @throws MillraceError `file_not_found`, `file_in_use` (a job that has not ended reads it, or a kept file of errors) */
  deleteFile(caller: Caller, id: string): Promise<void>;

  /**
   * On disk when it resolves; lines that cannot be run are found behind that (state `validating`).
   *
   * @throws MillraceError `file_not_found`, `job_store_full`, `model_not_found`, `bad_request`, `request_key_reused` (with another
   * request), `draining`
   */
  create(
    caller: Caller,
    job: JobRequest,
  ): Promise<{ readonly job: StoredJob; readonly isNew: boolean }>;
  /** @throws MillraceError `job_not_found` */
  job(caller: Caller, id: string): Promise<StoredJob>;
  jobs(caller: Caller, query: Omit<PageQuery, "owner">): Promise<readonly StoredJob[]>;
  /** Of one that has ended: nothing. @throws MillraceError `job_not_found` */
  cancel(caller: Caller, id: string): Promise<StoredJob>;
  /** Cancels it first where it has not ended. @throws MillraceError `job_not_found` */
  remove(caller: Caller, id: string): Promise<void>;
  /** Inputs per second lately and when it is expected to end, for one that runs. From memory. */
  pace(id: string): { readonly linesPerSecond: number; readonly endsInMs: number } | null;
  /**
   * Results in the order of lines, from `fromLine` (from 0) to before `toLine`, as far as all before them are there: a line that is not
   * done yet ends it. Each is one JSON object. @throws MillraceError `job_not_found`
   */
  results(
    caller: Caller,
    id: string,
    range: { readonly fromLine: number; readonly toLine?: number },
  ): Promise<AsyncIterable<LineResult>>;
  /** Calls back at each change of its state or progress, not more often than some times a second, until the signal. */
  watch(id: string, onChange: (job: StoredJob) => void, signal: AbortSignal): void;
}

export interface Upload extends UploadTerms {
  readonly name: string;
  /** Asked behind the content, for what was said only there. What it throws leaves nothing of the file. */
  readonly late?: () => UploadTerms;
}

export interface UploadTerms {
  readonly purpose: string;
  /** Default: as results are. */
  readonly keptMs?: number;
}

export interface LineResult {
  /** From 0. */
  readonly line: number;
  readonly isError: boolean;
  readonly json: string;
}

export interface JobRequest {
  readonly form: JobForm;
  /** Uploaded before, or the lines of this request alone. */
  readonly input: { readonly fileId: string } | { readonly lines: AsyncIterable<Uint8Array> };
  readonly tenant?: string;
  readonly requestKey?: string;
  /** From now; null: no deadline. */
  readonly deadlineMs?: number | null;
  /** From its end. Default: `jobRetention`. */
  readonly keptMs?: number;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly callbackUrl?: string;
}

/** A request that a line is, asked of the route that would answer it over HTTP. */
export type CallRoute = (call: RouteCall, signal: AbortSignal) => Promise<RouteReply>;

export interface RouteCall {
  readonly path: string;
  readonly caller: Caller;
  readonly id: string;
  readonly body: Uint8Array;
  readonly accept: "application/json" | "application/x-ndjson";
}

export interface RouteReply {
  readonly status: number;
  readonly text: string;
  /** Why it was refused as a whole, whatever the words of the route's front. */
  readonly error?: MillraceError;
}

/** What a line of an OpenAI batch is. */
export interface RequestLine {
  readonly customId: string;
  readonly endpoint: string;
  readonly body: JsonObject;
}
