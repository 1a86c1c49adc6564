/** Durable jobs, `/v1/jobs`: accepted means on disk, and every line has exactly one result, whatever dies meanwhile. */
import type { DeploymentIdentity } from "./api.js";
import type { WireError } from "./errors.js";

/** The last four are final. */
export const jobStates = [
  "validating",
  "queued",
  "in_progress",
  "finalizing",
  "cancelling",
  "completed",
  "failed",
  "cancelled",
  "expired",
] as const;

export type JobState = (typeof jobStates)[number];

/**
 * `POST /v1/jobs`: with `texts`, or as `application/x-ndjson`, where the first line is this without `texts` and every other one an
 * input: a text as JSON string, or an object with the fields of a request of the task's route. Settings of the task stand beside.
 */
export interface JobRequestFields {
  readonly task: string;
  readonly model?: string;
  readonly tenant?: string;
  readonly texts?: readonly string[];
  /** From acceptance; what is not done then is left, and what is done is kept. Default: none. */
  readonly timeoutMs?: number;
  readonly metadata?: Readonly<Record<string, string>>;
  /** Told when the job has ended, by POST; only to hosts that the server allows. */
  readonly callback?: string;
}

export interface JobStatus {
  readonly id: string;
  readonly state: JobState;
  readonly task: string | null;
  readonly model: string | null;
  readonly tenant: string;
  /** Of the input. */
  readonly lines: number;
  readonly succeeded: number;
  readonly failed: number;
  /** Lately, where it runs; else null. */
  readonly linesPerSecond: number | null;
  /** Null: not known. */
  readonly expectedEndAt: string | null;
  /** ISO 8601. */
  readonly createdAt: string;
  readonly startedAt: string | null;
  readonly endedAt: string | null;
  readonly deadlineAt: string | null;
  /** Until when its results are kept; null before it has ended. */
  readonly expiresAt: string | null;
  readonly metadata: Readonly<Record<string, string>>;
  /** Why it failed as a whole; `line` from 1. */
  readonly errors: readonly (WireError & { readonly line?: number })[];
}

/**
 * A line of `GET /v1/jobs/{id}/results`, in the order of the input: what the task's route gives for an input, or what a request on its
 * own would have been answered where the line was an object; or an error.
 */
export interface JobResult {
  /** Of the input, from 0. */
  readonly line: number;
  readonly error?: WireError;
  readonly [field: string]: unknown;
}

export interface JobReply {
  readonly job: JobStatus;
  readonly deployment: DeploymentIdentity;
}

export interface JobsReply {
  /** Newest first. */
  readonly jobs: readonly JobStatus[];
  /** Give it as `after` for the next page; null: this was the last one. */
  readonly next: string | null;
  readonly deployment: DeploymentIdentity;
}

/** `DELETE /v1/jobs/{id}`: one that has not ended is cancelled, and what is done is kept; one that has ended is removed with its results. */
export interface JobDeletedReply extends JobReply {
  readonly outcome: "cancelled" | "removed";
}

/** Asks for the same job again where the reply to a request was lost; honoured for a day. */
export const requestKeyHeader = "idempotency-key";

/** Hard bounds of jobs that no option can raise. */
export const jobLimits = {
  requestKeyCharactersMax: 255,
  metadataPairsMax: 16,
  metadataKeyCharactersMax: 64,
  metadataValueCharactersMax: 512,
  callbackCharactersMax: 2_048,
  /** A leap year. */
  timeoutMsMax: 31_622_400_000,
  /** Of the first line of a request in lines. */
  headBytesMax: 65_536,
  /** Jobs in one page of the list. */
  pageMax: 100,
} as const;
