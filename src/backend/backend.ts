/** Everything behind the fronts, as server.ts sees it. */
import type {
  DeploymentIdentity,
  ModelInfo,
  ModelsReload,
  SampledProfile,
  StatusResponse,
} from "millrace-client/wire";
import type { Log } from "../log.js";
import type { Metrics } from "../metrics/metrics.js";
import type { NatsLink } from "../nats/connection.js";
import type { Configuration } from "../options/resolve.js";
import type { AskedSampling } from "../profile/profiles.js";
import type { Recorder } from "../record/recorder.js";
import type { Submit } from "../submit/submit.js";
import type { ModelRepository } from "../work/model-repository.js";
import type { ServerViews } from "../work/views.js";

/** It owns the pipelines. */
export interface Backend {
  readonly submit: Submit;
  readonly views: ServerViews;
  /** Resolves when the first pipelines are ready; rejects when none can be, or when it is stopped before. */
  start(): Promise<void>;
  /** Looks at the folder of models again. Rejects where it holds nothing that can be served; all stays as it was then. */
  reload(): Promise<ModelsReload>;
  /** Those of this process; absent where it has none. */
  readonly pipelineIds?: readonly string[];
  /** What a pipeline does until the signal says so, as `Pool.profile`; absent where there is none. */
  profile?(pipelineId: string, asked: AskedSampling): Promise<SampledProfile> | null;
  /** What arrives at its pipelines, for whoever records it; absent where there are none. Whoever ends the server disposes of it. */
  readonly recorder?: Recorder;
  /** Absent where there is no folder of models. */
  readonly repository?: ModelRepository;
  /** What other servers of a deployment may have of this one; absent where it has no pipelines. */
  readonly node?: NodeSide;
  /** Not ready from now on; takes no new work and finishes what it has. */
  drain(): void;
  /**
   * Lets what it has end, for at most `drainMs`, then ends every pipeline with whatever is in it; nothing is left running.
   * True: nothing was cut off. Also during and after a failed start.
   */
  stop(options: { readonly drainMs: number }): Promise<boolean>;
}

export interface NodeSide {
  /** On its own pipelines, whatever `Backend.submit` does with requests of its callers. */
  readonly submit: Submit;
  /** Those that its pipelines serve. */
  models(): readonly ModelInfo[];
  /** What the model is asked for: its own task first. Empty: it is not served. */
  readonly tasksOf: (model: string) => readonly string[];
  /** Called when a model or a pipeline came or went. The function that comes back ends it. */
  onChange(listener: () => void): () => void;
}

export interface BackendParts {
  readonly configuration: Configuration;
  readonly identity: DeploymentIdentity;
  readonly metrics: Metrics;
  readonly log: Log;
  /** For the status. */
  readonly heldByListener: () => Pick<
    StatusResponse["process"],
    "connections" | "bodiesBytes" | "repliesBytes"
  >;
  readonly eventLoopDelayP99Ms: () => number;
  /** A promise inside was broken: it takes no more, and whoever owns it must stop it. */
  readonly onBroken: (error: unknown) => void;
  /** To NATS, where this server is one of a deployment. */
  readonly link?: NatsLink;
  /** The script that workers run; default: the runtime's own. */
  readonly workerEntry?: string;
}

export type OpenBackend = (parts: BackendParts) => Backend | Promise<Backend>;
