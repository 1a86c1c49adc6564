/** What `GET /status` and `GET /ready` answer, always from memory and never through the path of a job. */
import type { DeploymentIdentity, WorkClass } from "./api.js";

export type ServerState = "starting" | "ready" | "degraded" | "not-ready" | "draining";

export type PipelineKind = "realtime" | "bulk" | "shared";

export type PipelineState =
  | "starting"
  | "ready"
  /** Announced a run and is far over its prediction. */
  | "suspect"
  /** Ended; starts again after a back-off. */
  | "backing-off"
  | "stopping"
  | "stopped";

export interface PipelineStatus {
  readonly pipelineId: string;
  readonly model: string;
  readonly kind: PipelineKind;
  readonly state: PipelineState;
  /** Why it is not ready, or why it last ended; null where there is nothing to say. */
  readonly reason: string | null;
  readonly pid: number | null;
  readonly inStateMs: number;
  /** Processes that this pipeline has had beyond the first. */
  readonly restarts: number;
  /** Times that the present process loaded its model. */
  readonly loads: number;
  /** Resident memory of the process. */
  readonly memoryBytes: number;
  /** The part of it that holds keys and values of generating rows; bounded by the rows that may generate. */
  readonly cacheBytes: number;
  /** The run that it announced last; null when it idles. */
  readonly doing: {
    readonly stage: string;
    readonly rows: number;
    readonly width: number;
    readonly predictedMs: number;
    readonly forMs: number;
  } | null;
  readonly items: {
    /** Handed over and not settled: running, and waiting inside the child. */
    readonly inFlight: number;
    readonly done: number;
    readonly failed: number;
  };
}

export interface QueueStatus {
  readonly model: string;
  readonly class: WorkClass;
  readonly items: number;
  /** What the work is measured in: tokens, or what else the model's task counts. */
  readonly units: number;
  /** What the items hold in memory until they ended. */
  readonly bytes: number;
  readonly requests: number;
  readonly tenants: number;
  readonly oldestWaitMs: number;
}

export interface BatchRecord {
  readonly batchId: number;
  readonly pipelineId: string;
  readonly model: string;
  readonly class: WorkClass;
  /** Why it left the queue: `pipeline-free`, `full`, `window`, `aged`, `exclusive`. */
  readonly reason: string;
  readonly requests: number;
  readonly items: number;
  readonly units: number;
  readonly paddedUnits: number;
  readonly waitedMs: number;
  /** Milliseconds before now. */
  readonly agoMs: number;
}

export interface StageTime {
  readonly model: string;
  readonly stage: string;
  readonly runs: number;
  readonly rows: number;
  readonly units: number;
  readonly paddedUnits: number;
  readonly ms: number;
}

export interface StatusResponse {
  readonly deployment: DeploymentIdentity;
  readonly state: ServerState;
  readonly uptimeMs: number;
  readonly policy: string;
  readonly pipelines: readonly PipelineStatus[];
  readonly queues: readonly QueueStatus[];
  readonly batches: {
    /** Since the start, by reason. */
    readonly byReason: Readonly<Record<string, number>>;
    /** The last ones, newest first. */
    readonly recent: readonly BatchRecord[];
  };
  /** Where the time goes inside the pipelines, since the start. */
  readonly stages: readonly StageTime[];
  readonly requests: {
    readonly accepted: number;
    readonly refused: number;
    readonly active: number;
    readonly finished: number;
    readonly cancelled: number;
  };
  readonly items: {
    readonly accepted: number;
    readonly done: number;
    readonly failed: number;
    readonly cancelled: number;
    readonly retried: number;
  };
  /** Waits from arrival to hand-over, in milliseconds, over the last items of each class. */
  readonly waits: Readonly<
    Record<WorkClass, { readonly count: number; readonly p50Ms: number; readonly p99Ms: number }>
  >;
  readonly process: {
    readonly pid: number;
    readonly rssBytes: number;
    readonly eventLoopDelayP99Ms: number;
    readonly connections: number;
    readonly queuedBytes: number;
    /** Of request bodies that are being read. */
    readonly bodiesBytes: number;
    /** Of replies that their readers have not taken yet. */
    readonly repliesBytes: number;
  };
}

export interface ModelReadiness {
  /** Its name, or its folder where that cannot be read. */
  readonly model: string;
  readonly ready: boolean;
  /** Why it is not ready; null where it is. */
  readonly reason: string | null;
}

export interface ReadyResponse {
  readonly ready: boolean;
  readonly state: ServerState;
  /** Each model by itself: one that is not ready takes no other one down. */
  readonly models: readonly ModelReadiness[];
  /** Pipelines that are not ready, each with the reason. */
  readonly notReady: readonly {
    readonly pipelineId: string;
    readonly state: PipelineState;
    readonly reason: string | null;
  }[];
  readonly deployment: DeploymentIdentity;
}
