/**
 * What is seen of this machine, from memory and at once: every view is made of the same few snapshots, so that status,
 * readiness and metrics cannot disagree.
 */
import type {
  ModelInfo,
  ModelReadiness,
  PipelineStatus,
  QueueStatus,
  ReadyResponse,
  ServerState,
  StatusResponse,
} from "millrace-client/wire";
import type { Activity } from "../metrics/activity.js";
import { engineTable } from "../models/engine-table.js";
import type { BrokenFolder, ModelFolder } from "../models/registry.js";
import type { QueueSnapshot, SchedulerSnapshot } from "../scheduler/snapshot.js";
import type { LocalSubmit } from "../submit/local/local-submit.js";
import type { ServerViews } from "../work/views.js";
import type { BackendParts } from "./backend.js";

export interface ViewedParts {
  readonly parts: BackendParts;
  readonly folders: readonly ModelFolder[];
  /** Folders that are not served, with the reason. */
  readonly broken: readonly BrokenFolder[];
  readonly activity: Activity;
  readonly submit: LocalSubmit;
  readonly scheduler: { snapshot(nowMs: number): SchedulerSnapshot };
  readonly pipelines: () => readonly PipelineStatus[];
  /** A drain has begun, or an end. */
  readonly isDraining: () => boolean;
}

export class LocalViews implements ServerViews {
  readonly #viewed: ViewedParts;
  readonly #startedAtMs = performance.now();
  #everReady = false;

  constructor(viewed: ViewedParts) {
    this.#viewed = viewed;
  }

  get identity(): ServerViews["identity"] {
    return this.#viewed.parts.identity;
  }

  /** The first pipeline came up: from now on a server without one is `not-ready`, and no longer `starting`. */
  becameReady(): void {
    this.#everReady = true;
  }

  get isDraining(): boolean {
    return this.#viewed.isDraining();
  }

  ready(): ReadyResponse {
    const pipelines = this.#viewed.pipelines();
    const state = this.#state(pipelines);
    const notReady = pipelines
      .filter((pipeline) => !isUp(pipeline))
      .map(({ pipelineId, state: its, reason }) => ({ pipelineId, state: its, reason }));
    const ready = state === "ready" || state === "degraded";
    const models = this.#models(pipelines);
    return { ready, state, models, notReady, deployment: this.identity };
  }

  models(): readonly ModelInfo[] {
    const ready = new Map(
      this.#models(this.#viewed.pipelines()).map(({ model, ready: its }) => [model, its]),
    );
    return this.#viewed.folders.map(({ manifest }) => {
      const { name, task, engine, family, precision } = manifest;
      const info = engineTable[engine].info(manifest);
      return { name, task, family, precision, ready: ready.get(name) ?? false, ...info };
    });
  }

  status(): StatusResponse {
    const { parts, scheduler, activity, submit } = this.#viewed;
    const nowMs = performance.now();
    const { queues, policy } = scheduler.snapshot(nowMs);
    const pipelines = this.#viewed.pipelines();
    return {
      deployment: this.identity,
      state: this.#state(pipelines),
      uptimeMs: nowMs - this.#startedAtMs,
      policy,
      pipelines,
      queues: queues.map(queueStatus),
      ...activity.view(nowMs),
      ...submit.counts,
      process: {
        pid: process.pid,
        rssBytes: process.memoryUsage.rss(),
        eventLoopDelayP99Ms: parts.eventLoopDelayP99Ms(),
        ...parts.heldByListener(),
        queuedBytes: submit.held.bytes,
      },
    };
  }

  /** One model without a pipeline takes no other one down: the server is ready while it can serve anything. */
  #state(pipelines: readonly PipelineStatus[]): ServerState {
    if (this.#viewed.isDraining()) return "draining";
    const models = this.#models(pipelines);
    if (!models.some(({ ready }) => ready)) return this.#everReady ? "not-ready" : "starting";
    return pipelines.every(isUp) && models.every(({ ready }) => ready) ? "ready" : "degraded";
  }

  /** Folders that are served, and those that should be and are broken. */
  #models(pipelines: readonly PipelineStatus[]): ModelReadiness[] {
    const served = this.#viewed.folders.map(({ manifest: { name } }): ModelReadiness => {
      const its = pipelines.filter(({ model }) => model === name);
      const ready = its.some(isUp);
      const reasons = its.flatMap(({ reason }) => reason ?? []);
      return {
        model: name,
        ready,
        reason: ready ? null : (reasons[0] ?? "it has not started yet"),
      };
    });
    const broken = this.#viewed.broken.map(
      ({ dir, reason }): ModelReadiness => ({ model: dir, ready: false, reason }),
    );
    return [...served, ...broken];
  }
}

/** What callers see of a queue; the scheduler knows more of it. */
function queueStatus(queue: QueueSnapshot): QueueStatus {
  const { model, class: workClass, items, units, bytes, requests, tenants, oldestWaitMs } = queue;
  return { model, class: workClass, items, units, bytes, requests, tenants, oldestWaitMs };
}

function isUp({ state }: PipelineStatus): boolean {
  return state === "ready" || state === "suspect";
}
