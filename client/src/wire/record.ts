/**
 * What `GET /v1/record` tells and a file of `millrace record` holds, a JSON object a line: the server as it is (`head`), then what arrives,
 * ends and runs, as it happens. Sizes, times and names of models; never what requests hold. Times are milliseconds since the head.
 */
import type { WorkClass } from "./api.js";
import type { ErrorCode } from "./errors.js";
import type { PipelineKind } from "./status.js";

export const recordFormat = "millrace-record";
/** A reader takes this one and no later one. */
export const recordVersion = 1;
/** Longest time of one recording, in seconds. */
export const recordSecondsMax = 86_400;

export interface RecordHead {
  readonly type: "head";
  readonly format: typeof recordFormat;
  readonly version: number;
  /** Unix time in milliseconds. */
  readonly startedAtMs: number;
  /** Of the package. */
  readonly millrace: string;
  readonly machine: {
    readonly cores: number;
    /** Of each pipeline. */
    readonly threads: number;
    readonly memoryBytes: number;
  };
  readonly options: RecordedOptions;
  readonly pipelines: readonly RecordedPipeline[];
  readonly models: readonly RecordedModel[];
  /** Requests that were there before, of which nothing is recorded. */
  readonly openRequests: number;
}

/** What the server decides by. */
export interface RecordedOptions {
  readonly policy: string;
  readonly realtimeTargetMs: number;
  readonly ageLimitMs: number;
  readonly prefetchRows: number;
  readonly queuedItemsMax: number;
  readonly queuedBytesMax: number;
  readonly bulkThreshold: number;
}

export interface RecordedPipeline {
  readonly pipelineId: string;
  readonly kind: PipelineKind;
  readonly modelMemoryBytesMax: number;
  /** Models that it had. */
  readonly resident: readonly string[];
}

export interface RecordedModel {
  readonly model: string;
  readonly engine: "generation" | "staged";
  readonly mode: "continuous" | "one-shot";
  readonly keep: "pinned" | "preloaded" | "on-demand";
  /** In a process. */
  readonly bytes: number;
  /** Expected time of a load. */
  readonly loadMs: number;
  readonly rowsMax: number;
  readonly runRowsMax: number | null;
  /** By stage, what the scheduler had learned: ms = perRunMs · runs + perUnitMs · padded units. */
  readonly learned: Readonly<
    Record<string, { readonly perRunMs: number; readonly perUnitMs: number }>
  >;
}

/** Items of the same cost: `[units, width, rows, how many]`, and a hash of their batch key, as of tenants, where they have one. */
export type RecordedItems =
  | readonly [units: number, width: number, rows: number, count: number]
  | readonly [units: number, width: number, rows: number, count: number, key: string];

/** A request that was let in and prepared. */
export interface RecordedRequest {
  readonly type: "request";
  /** Its `end` has the same. */
  readonly id: number;
  /** When it arrived. */
  readonly atMs: number;
  readonly prepareMs: number;
  readonly model: string;
  readonly task: string;
  readonly class: WorkClass;
  /** A hash under a key that is made for the recording and forgotten with it: the same name has the same hash within a recording. */
  readonly tenant: string;
  /** From its arrival; null: none. */
  readonly deadlineMs: number | null;
  /** The caller named the deadline, and would have been refused where it cannot be met. */
  readonly isDeadlineNamed: boolean;
  readonly inputs: number;
  /** Of the request as it arrived. */
  readonly bytes: number;
  /** Of its items together, while they wait. */
  readonly itemBytes: number;
  readonly items: readonly RecordedItems[];
}

/** It has all its outcomes, or failed as a whole. */
export interface RecordedEnd {
  readonly type: "end";
  readonly id: number;
  readonly atMs: number;
  /** Null: it was answered. */
  readonly code: ErrorCode | null;
  readonly failedInputs: number;
}

/** A request that was refused: what it would have been to the pipelines is not known. */
export interface RecordedRefusal {
  readonly type: "refused";
  readonly atMs: number;
  readonly model: string | null;
  readonly class: WorkClass | null;
  readonly bytes: number;
  readonly code: ErrorCode;
}

/** What a pipeline ran of a model since it said so last. */
export interface RecordedRuns {
  readonly type: "runs";
  readonly atMs: number;
  readonly pipelineId: string;
  readonly model: string;
  /** For how long it had something of any model; 0: not known. */
  readonly busyMs: number;
  readonly stages: readonly {
    readonly stage: string;
    readonly runs: number;
    readonly rows: number;
    readonly units: number;
    readonly paddedUnits: number;
    readonly ms: number;
    /** The same runs by their rows: `[rows, runs, ms]`. */
    readonly sizes: readonly (readonly [rows: number, runs: number, ms: number])[];
  }[];
}

/** A pipeline ended, and what it had was run again. */
export interface RecordedDown {
  readonly type: "down";
  readonly atMs: number;
  readonly pipelineId: string;
}

/** Once a second, whatever happens. */
export interface RecordedTime {
  readonly type: "time";
  readonly atMs: number;
  /** Requests that have not ended. */
  readonly openRequests: number;
}

/** Lines that were left out here, because they were not taken as fast as they came. */
export interface RecordedLoss {
  readonly type: "left-out";
  readonly atMs: number;
  readonly lines: number;
}

/** Why nothing follows. A file without it was cut off. */
export interface RecordedClose {
  readonly type: "closed";
  readonly atMs: number;
  /** `size`, `interrupted` and `lost` are the command's: the file is as large as it may be, Ctrl-C, the connection broke. */
  readonly why: "time" | "stopping" | "size" | "interrupted" | "lost";
}

export type RecordLine =
  | RecordHead
  | RecordedRequest
  | RecordedEnd
  | RecordedRefusal
  | RecordedRuns
  | RecordedDown
  | RecordedTime
  | RecordedLoss
  | RecordedClose;
