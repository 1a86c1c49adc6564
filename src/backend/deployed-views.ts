/** What fronts of one server among several see: its own, and what the others said last. From memory, as all views are. */
import {
  type ModelInfo,
  type ModelReadiness,
  type ModelStatus,
  type NodeStatus,
  type ReadyResponse,
  type ServerState,
  type StatusResponse,
  serverStates,
} from "millrace-client/wire";
import type { NatsLink } from "../nats/connection.js";
import type { Directory } from "../nats/directory.js";
import type { KnownNode } from "../nats/heard-node.js";
import type { NodeEntry } from "../nats/node-entry.js";
import type { NatsSubmit } from "../submit/nats/nats-submit.js";
import type { ModelStatistics, ServerViews } from "../work/views.js";
import type { BackendParts } from "./backend.js";
import type { ModelCatalogue } from "./model-catalogue.js";
import { ownProcess } from "./own-process.js";
import { shownLimits, shownMachine } from "./shown-limits.js";

export type NodesView = ReturnType<NonNullable<ServerViews["nodes"]>>;

interface Seen {
  readonly link: NatsLink;
  readonly directory: Directory;
}

export function nodesView({ link, directory }: Seen): NodesView {
  return { nats: link.state, nodes: directory.nodes.map(nodeStatusOf) };
}

/** Of a server that hears of no other. */
export function ownStatus(entry: NodeEntry): NodeStatus {
  return nodeStatusOf({ entry, ageMs: 0, sentItems: 0 });
}

function nodeStatusOf({
  entry,
  ageMs,
  sentItems,
}: Pick<KnownNode, "entry" | "ageMs" | "sentItems">): NodeStatus {
  const { node, instance, role, version, configHash, state, isDraining, pipelines, waits } = entry;
  const models = entry.models.map(({ name, ready, state: its }) => ({
    model: name,
    ready,
    state: its,
  }));
  const waitMs = { realtime: Math.round(waits.realtimeMs), bulk: Math.round(waits.bulkMs) };
  const own = { node, instance, role, version, configHash, state: serverStateOf(state) };
  const now = { draining: isDraining, ageMs: Math.round(ageMs), pipelines, waitMs, sentItems };
  return { ...own, ...now, models };
}

function serverStateOf(state: string): NodeStatus["state"] {
  return serverStates.find((each) => each === state) ?? "unknown";
}

export interface DeployedSeen {
  /** Models that others serve, and callers get here. */
  readonly others: () => readonly ModelInfo[];
  readonly nodes: () => NodesView;
}

/** Of a server that has pipelines itself. */
export class DeployedViews implements ServerViews {
  readonly #local: ServerViews;
  readonly #seen: DeployedSeen;

  constructor(local: ServerViews, seen: DeployedSeen) {
    this.#local = local;
    this.#seen = seen;
  }

  get identity(): ServerViews["identity"] {
    return this.#local.identity;
  }

  get isDraining(): boolean {
    return this.#local.isDraining;
  }

  status(): StatusResponse {
    return this.#local.status();
  }

  ready(): ReadyResponse {
    return this.#local.ready();
  }

  /** Those that are served here, and then those that others serve alone. */
  models(): readonly ModelInfo[] {
    const own = this.#local.models();
    const names = new Set(own.map(({ name }) => name));
    const others = this.#seen.others();
    return [...own, ...others.filter(({ name }) => !names.has(name))];
  }

  statistics(): readonly ModelStatistics[] {
    return this.#local.statistics();
  }

  nodes(): NodesView {
    return this.#seen.nodes();
  }
}

export interface EdgeSeen extends Seen {
  readonly parts: BackendParts;
  readonly catalogue: ModelCatalogue;
  readonly submit: NatsSubmit;
  readonly isDraining: () => boolean;
}

/** Of a server that has none: ready while any node serves any model. */
export class EdgeViews implements ServerViews {
  readonly #seen: EdgeSeen;
  readonly #startedAtMs = performance.now();

  constructor(seen: EdgeSeen) {
    this.#seen = seen;
  }

  get identity(): ServerViews["identity"] {
    return this.#seen.parts.identity;
  }

  get isDraining(): boolean {
    return this.#seen.isDraining();
  }

  nodes(): NodesView {
    return nodesView(this.#seen);
  }

  models(): readonly ModelInfo[] {
    return this.#seen.catalogue.models();
  }

  ready(): ReadyResponse {
    const models = this.models().map(
      ({ name, ready, reason }): ModelReadiness => ({ model: name, ready, reason }),
    );
    const state = this.#state(models);
    const ready = state === "ready" || state === "degraded";
    return { ready, state, models, notReady: [], deployment: this.identity };
  }

  /** Each model's page is at the node that runs it. */
  statistics(): readonly ModelStatistics[] {
    return [];
  }

  status(): StatusResponse {
    const { parts, submit } = this.#seen;
    return {
      deployment: this.identity,
      state: this.ready().state,
      uptimeMs: performance.now() - this.#startedAtMs,
      policy: "nodes",
      pipelines: [],
      models: this.models().map(modelStatusOf),
      leftOut: [],
      queues: [],
      batches: { byReason: {}, recent: [] },
      stages: [],
      ...submit.counts,
      ...parts.metrics.traffic(performance.now()),
      tenants: [],
      limits: shownLimits(parts.configuration.options),
      machine: shownMachine(parts.configuration),
      waits: { realtime: noWaits, bulk: noWaits },
      process: ownProcess(parts, submit.held.bytes),
    };
  }

  #state(models: readonly ModelReadiness[]): ServerState {
    const { link } = this.#seen;
    if (this.isDraining) return "draining";
    if (link.connected === null) return link.state === "connecting" ? "starting" : "not-ready";
    if (!models.some(({ ready }) => ready)) return "not-ready";
    return models.every(({ ready }) => ready) ? "ready" : "degraded";
  }
}

/** Items wait at nodes, which say how long. */
const noWaits = { count: 0, p50Ms: 0, p99Ms: 0 };

/** `pipelines`: the nodes that have it; what a load takes is theirs to say. */
function modelStatusOf({ name, state, reason, pipelines }: ModelInfo): ModelStatus {
  const counts = { bytes: 0, loadMs: 0, loads: 0, evictions: 0, loadFailures: 0 };
  return { model: name, state, reason, pipelines, ...counts, unit: null, recommended: null };
}
