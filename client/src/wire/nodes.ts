/** What `GET /v1/nodes` answers: the servers of a deployment that are heard of, as each said last. */
import type { DeploymentIdentity, WorkClass } from "./api.js";
import type { ServerState } from "./status.js";

/** A model at one node. */
export interface NodeModelStatus {
  readonly model: string;
  readonly ready: boolean;
  /** As in `ModelStatus`. */
  readonly state: string;
}

export interface NodeStatus {
  /** As `--node` has it. */
  readonly node: string;
  /** Made anew at each start: two that have one name are told apart by it. */
  readonly instance: string;
  readonly role: "both" | "edge" | "node";
  readonly version: string;
  readonly configHash: string;
  readonly state: ServerState | "unknown";
  /** It takes no new work. */
  readonly draining: boolean;
  /** Of what it said last; what is older than 3,000 is not used. */
  readonly ageMs: number;
  /** Pipelines that are up. */
  readonly pipelines: number;
  /** How soon it would take an item, as it reckons itself, in milliseconds. */
  readonly waitMs: Readonly<Record<WorkClass, number>>;
  /** Items that the server which answers has there, and that are not done. */
  readonly sentItems: number;
  readonly models: readonly NodeModelStatus[];
}

export interface NodesResponse {
  /** `connected`, or why no node can be reached: `connecting`, `away`, `closed`. */
  readonly nats: "connected" | "connecting" | "away" | "closed";
  readonly nodes: readonly NodeStatus[];
  readonly deployment: DeploymentIdentity;
}
