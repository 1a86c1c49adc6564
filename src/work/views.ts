/** What fronts may see of the server beside submit: read-only, from memory, at once. */
import type {
  DeploymentIdentity,
  ModelInfo,
  NodesResponse,
  ReadyResponse,
  StatusResponse,
} from "millrace-client/wire";

export interface ServerViews {
  readonly identity: DeploymentIdentity;
  status(): StatusResponse;
  ready(): ReadyResponse;
  /** The server is stopping and takes no new work; `ready` says so too, and costs a look at every pipeline. */
  readonly isDraining: boolean;
  models(): readonly ModelInfo[];
  /** Of the models that are served. */
  statistics(): readonly ModelStatistics[];
  /** The servers of the deployment, this one among them; absent where it is none of one. */
  nodes?(): Pick<NodesResponse, "nats" | "nodes">;
}

/** How often, and how long all of them took together. */
export interface TimedCount {
  readonly count: number;
  readonly ms: number;
}

/** What became of a model's requests and runs since the start. */
export interface ModelStatistics {
  readonly model: string;
  /** When a request ended last, in milliseconds since 1970; 0: none has. */
  readonly lastAtMs: number;
  /** Inputs that have their results. */
  readonly inputs: number;
  /** Requests whose inputs all have their results, and the others; those that were refused at the door are among them. */
  readonly done: TimedCount;
  readonly failed: TimedCount;
  /** Where the time of those that were done went; `rest`: results that were made of answers. */
  readonly prepare: TimedCount;
  readonly queue: TimedCount;
  readonly compute: TimedCount;
  readonly rest: TimedCount;
  /** Runs of its first stage, by their rows. */
  readonly runs: readonly (TimedCount & { readonly rows: number })[];
  /** In all pipelines that host it. */
  readonly residentBytes: number;
}
