/** What `GET /status/events` tells: server-sent events, `history` once, then `status` about once a second, from memory. */
import type { WorkClass } from "./api.js";
import type { Finding } from "./doctor.js";
import type { NodesResponse } from "./nodes.js";
import type { PipelineState, PipelineWork, StatusResponse } from "./status.js";

/** A moment of a server in few words: sums since its start, and what was held just then. Of two of them, what happened between. */
export interface LiveSample {
  /** Unix time in milliseconds, of the server. */
  readonly atMs: number;
  /** Requests that had all their outcomes; see `FinishedRequests`. */
  readonly classes: Readonly<Record<WorkClass, LiveClass>>;
  readonly items: StatusResponse["items"];
  readonly requests: StatusResponse["requests"];
  readonly pipelines: readonly LivePipeline[];
  readonly rssBytes: number;
  readonly queuedBytes: number;
  readonly eventLoopDelayP99Ms: number;
}

export interface LiveClass {
  readonly finished: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Of all models. */
  readonly queuedItems: number;
  readonly oldestWaitMs: number;
}

export interface LivePipeline {
  readonly pipelineId: string;
  readonly state: PipelineState;
  readonly restarts: number;
  readonly inFlight: number;
  readonly memoryBytes: number;
  readonly cacheBytes: number;
  readonly work: readonly PipelineWork[];
}

/** The last two minutes, oldest first. */
export interface LiveHistory {
  readonly everyMs: number;
  readonly samples: readonly LiveSample[];
}

export interface LiveStatus {
  readonly sample: LiveSample;
  readonly status: StatusResponse;
  /** Null where the server is none of several. */
  readonly nodes: Pick<NodesResponse, "nats" | "nodes"> | null;
  /** What the doctor says of the last half minute, worst first; empty: healthy. Absent in what older servers say. */
  readonly findings?: readonly Finding[];
}
