/** What `GET /status` and `GET /ready` answer, always from memory and never through the path of a job. */
import type { DeploymentIdentity, WorkClass } from "./api.js";

export const serverStates = ["starting", "ready", "degraded", "not-ready", "draining"] as const;

export type ServerState = (typeof serverStates)[number];

/** See `ModelStatus`. */
export const modelStates = ["resident", "loading", "on-disk", "failed", "too-large"] as const;

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

/**
 * Why a process of a pipeline ended, or was ended.
 *
 * `crash`: of itself, by an exit or a fault of its own. `hang`: its run took too long, or used no processor time any more.
 * `protocol`: it sent what is no message. `memory`: the kernel killed it for want of memory. `outside`: somebody else killed or
 * stopped it. `start-timeout`: it did not come up in time. `load-timeout`: a model did not.
 */
export const pipelineFaults = [
  "crash",
  "hang",
  "protocol",
  "memory",
  "outside",
  "start-timeout",
  "load-timeout",
] as const;

export type PipelineFault = (typeof pipelineFaults)[number];

/** A model in a process. */
export interface PipelineModel {
  readonly model: string;
  readonly state: "loading" | "resident" | "leaving";
  /** By which the process grew when it was loaded, as measured; little where it used memory again. */
  readonly bytes: number;
  /** Times that the present process loaded it. */
  readonly loads: number;
  /** Since it was used last; 0 while it is. */
  readonly idleMs: number;
  /** Its items in the process. */
  readonly inFlight: number;
}

/** Runs of a model in a pipeline, since the server's start, over all processes that the pipeline has had. */
export interface PipelineWork {
  readonly model: string;
  readonly runs: number;
  readonly rows: number;
  /** See `StageTime`. */
  readonly units: number;
  readonly paddedUnits: number;
  readonly ms: number;
}

/** A worker process, and the models that it hosts. */
export interface PipelineStatus {
  readonly pipelineId: string;
  readonly kind: PipelineKind;
  readonly state: PipelineState;
  /** Why it is not ready; null where there is nothing to say. */
  readonly reason: string | null;
  /** The same for programs; of a `suspect` one, what it is suspected of. Absent in what older servers say. */
  readonly code?: PipelineFault | null;
  /** How its last process ended, also when the next one is ready; null: none has. Absent in what older servers say. */
  readonly lastEnd?: { readonly code: PipelineFault; readonly reason: string } | null;
  readonly pid: number | null;
  readonly inStateMs: number;
  /** Processes that this pipeline has had beyond the first. */
  readonly restarts: number;
  /** Times that the present process loaded a model. */
  readonly loads: number;
  readonly models: readonly PipelineModel[];
  /** Resident memory of the process. */
  readonly memoryBytes: number;
  /** The part of it that its items hold (keys and values of generating rows); bounded by the rows that may run. */
  readonly cacheBytes: number;
  /** The run that it announced last; null when it idles. */
  readonly doing: {
    readonly model: string;
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
  /** By model; told about once a second while it works. Absent in what older servers say. */
  readonly work?: readonly PipelineWork[];
}

/** What the time of a model's runs is a line of. */
export type WorkUnit = "tokens";

/** Where a model is, over all pipelines. */
export interface ModelStatus {
  readonly model: string;
  /**
   * `on-disk`: it is loaded when somebody asks. `failed`: the last load did, and no pipeline has it. `too-large`: no
   * pipeline has room for it, as it is and as the server is configured.
   */
  readonly state: (typeof modelStates)[number];
  /** Why the last load failed, or why it cannot be loaded; null where there is nothing to say. */
  readonly reason: string | null;
  /** Pipelines that host it. */
  readonly pipelines: readonly string[];
  /** What it takes in a process, as far as is known. */
  readonly bytes: number;
  /** Expected time of a load. */
  readonly loadMs: number;
  /** Since the start. */
  readonly loads: number;
  readonly evictions: number;
  /** In a row. */
  readonly loadFailures: number;
  /** What to ask for at once, of what was learned of the model; null where no pipeline has it, and at an edge. */
  /** What the units of its work are; null: each of its stages counts something else, or an edge does not know. Absent in what older servers say. */
  readonly unit?: WorkUnit | null;
  readonly recommended: {
    /** Items of a request that fills one pipeline. */
    readonly batchItems: number;
    /** So many of such requests in flight, from all callers, and no pipeline waits for the next one. */
    readonly requestsInFlight: number;
    /** Items that are through within the realtime target, as fast as the pipelines were lately; null: nothing was seen yet. */
    readonly realtimeItemsInFlight: number | null;
  } | null;
}

/** A folder whose model is not served. */
export interface LeftOutModel {
  readonly dir: string;
  readonly reason: string;
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
  /** What the time is a line of (tokens, pixels): the items' own, and with what the runs padded them to. */
  readonly units: number;
  readonly paddedUnits: number;
  readonly ms: number;
}

/** Requests that had all their outcomes. */
export interface FinishedRequests {
  /** Since the start. */
  readonly count: number;
  /** Sums since the start, so that two statuses tell where the time between them went. */
  readonly prepareMs: number;
  readonly queueMs: number;
  readonly computeMs: number;
  readonly totalMs: number;
  /** From arrival to the last result, over those of the last minute, the last 2,048 at most; 0 where there are none. */
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Who has requests that have not ended; those of one class. */
export interface TenantStatus {
  readonly tenant: string;
  readonly class: WorkClass;
  readonly requests: number;
  /** Of these requests, also those that have ended. */
  readonly items: number;
  /** Since the oldest of the requests arrived. */
  readonly oldestMs: number;
}

export const jobStoreStates = ["ok", "starting", "failed", "off"] as const;

/** Whether durable jobs can be kept and read just now; where they cannot, all else is served nevertheless. */
export interface JobStoreReadiness {
  /** `starting`: where they are kept was not reached yet. `failed`: it is away, and is tried again. `off`: this server keeps none. */
  readonly state: (typeof jobStoreStates)[number];
  /** Why it is `starting` or `failed`, else null. */
  readonly reason: string | null;
}

export interface JobStoreStatus extends JobStoreReadiness {
  /** That have not ended, as of a moment ago; of a deployment: all of its. Null at a node, which hears of those only that it runs. */
  readonly open: number | null;
  /** Chunks of them that this server runs. */
  readonly runningChunks: number;
  /** That files and jobs take, and the most that they may. */
  readonly bytes: number;
  readonly bytesMax: number;
  /** Commits since the start, and how long they took together. Absent in what older servers say. */
  readonly commits?: number;
  readonly commitMs?: number;
}

export interface StatusResponse {
  readonly deployment: DeploymentIdentity;
  readonly state: ServerState;
  readonly uptimeMs: number;
  readonly policy: string;
  readonly pipelines: readonly PipelineStatus[];
  readonly models: readonly ModelStatus[];
  /** Folders that should be served and cannot be. Absent in what older servers say. */
  readonly leftOut?: readonly LeftOutModel[];
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
    /** Of those that finished: there was no other from their arrival to their end. Not told by edges, and by older servers. */
    readonly alone?: number;
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
    /** Processor time since the start, of all threads of this process, without the pipelines'. Absent in what older servers say. */
    readonly cpuMs?: number;
    /** For how long the event loop worked and did not wait, since the start. Absent in what older servers say. */
    readonly eventLoopActiveMs?: number;
  };
  /** Absent in what older servers say. */
  readonly jobs?: JobStoreStatus;
  /** Absent in what older servers say. */
  readonly finished?: Readonly<Record<WorkClass, FinishedRequests>>;
  /** Requests that failed as a whole since the start, by error code. Absent in what older servers say. */
  readonly refusals?: Readonly<Record<string, number>>;
  /** Items that failed since the start, by error code. Absent in what older servers say. */
  readonly failures?: Readonly<Record<string, number>>;
  /** Those with the most items, 32 of a class at most. Absent in what older servers say. */
  readonly tenants?: readonly TenantStatus[];
  /** What bounds what is held. Absent in what older servers say. */
  readonly limits?: {
    readonly queuedItemsMax: number;
    readonly queuedBytesMax: number;
    /** Of all pipelines together. */
    readonly modelMemoryBytes: number;
    readonly connectionsMax: number;
    readonly realtimeTargetMs: number;
    readonly bodiesBytesMax?: number;
    readonly repliesBytesMax?: number;
    /** Of every model, where it was given. */
    readonly rowsMax?: number;
    readonly bulkThreshold?: number;
  };
  /** What it runs on. Absent in what older servers say. */
  readonly machine?: MachineStatus;
}

export interface MachineStatus {
  /** That it may use, as the defaults were reckoned from. */
  readonly cores: number;
  /** Of each pipeline. */
  readonly threads: number;
  readonly memoryBytes: number;
  /** That is left, in the container where there is one. */
  readonly availableMemoryBytes: number;
  /** What its system does not tell or do, each with what follows from it, for people; empty on Linux. Absent in what older servers say. */
  readonly lacks?: readonly string[];
}

export interface ModelReadiness {
  /** Its name, or its folder where that cannot be read. */
  readonly model: string;
  /** It can be served, if need be after one load. */
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
    /** See `PipelineStatus`. Absent in what older servers say. */
    readonly code?: PipelineFault | null;
  }[];
  /** Says nothing of `ready`: a server without its jobs serves all else. Absent in what older servers say. */
  readonly jobs?: JobStoreReadiness;
  readonly deployment: DeploymentIdentity;
}
