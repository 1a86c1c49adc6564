/**
 * What is seen of this machine, from memory and at once: every view is made of the same few snapshots, so that status,
 * readiness and metrics cannot disagree.
 */
import type {
  ModelInfo,
  ModelReadiness,
  ModelStatus,
  PipelineStatus,
  ReadyResponse,
  ServerState,
  StatusResponse,
} from "millrace-client/wire";
import type { Activity } from "../metrics/activity.js";
import type { EngineInfo } from "../models/engine-definition.js";
import { engineTable } from "../models/engine-table.js";
import type { ModelManifest } from "../models/manifest.js";
import type { BrokenFolder, ModelFolder } from "../models/registry.js";
import type { PlaceSnapshot, SchedulerSnapshot } from "../scheduler/snapshot.js";
import type { LocalSubmit } from "../submit/local/local-submit.js";
import type { ModelStatistics, ServerViews } from "../work/views.js";
import type { BackendParts } from "./backend.js";
import type { ModelBook } from "./model-book.js";
import { ownProcess } from "./own-process.js";
import { shownLimits, shownMachine } from "./shown-limits.js";

export interface ServedFolder {
  readonly folder: ModelFolder;
  /** As callers have it, and as pipelines do. */
  readonly name: string;
  readonly key: string;
}

export interface ViewedParts {
  readonly parts: BackendParts;
  /** What is served now; a folder that changes is another one. */
  readonly served: () => readonly ServedFolder[];
  /** Folders that are not served, with the reason. */
  readonly broken: () => readonly BrokenFolder[];
  readonly activity: Activity;
  readonly book: ModelBook;
  readonly submit: LocalSubmit;
  readonly scheduler: { snapshot(nowMs: number): SchedulerSnapshot };
  readonly pipelines: () => readonly PipelineStatus[];
  /** A drain has begun, or an end. */
  readonly isDraining: () => boolean;
}

export class LocalViews implements ServerViews {
  readonly #viewed: ViewedParts;
  readonly #infos = new WeakMap<ModelManifest, EngineInfo>();
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
    const seen = this.#look();
    const state = this.#state(seen);
    const notReady = seen.pipelines
      .filter((pipeline) => !isUp(pipeline))
      .map(({ pipelineId, state: its, reason, code = null }) => ({
        pipelineId,
        state: its,
        reason,
        code,
      }));
    const ready = state === "ready" || state === "degraded";
    const models = this.#models(seen);
    return { ready, state, models, notReady, deployment: this.identity };
  }

  models(): readonly ModelInfo[] {
    const seen = this.#look();
    return this.#viewed.served().map((served) => {
      const { name, folder } = served;
      const { manifest } = folder;
      const { task, family, precision } = manifest;
      const info = this.#infoOf(manifest);
      const { state, pipelines, reason } = this.#statusOf(served, seen);
      const ready = canServe(state, seen);
      return { name, task, family, precision, ready, state, pipelines, reason, ...info };
    });
  }

  /** The same object as long as the model is the same. */
  #infoOf(manifest: ModelManifest): EngineInfo {
    const known = this.#infos.get(manifest);
    if (known !== undefined) return known;
    const made = engineTable[manifest.engine].info(manifest);
    this.#infos.set(manifest, made);
    return made;
  }

  statistics(): readonly ModelStatistics[] {
    const { book, served, pipelines } = this.#viewed;
    const bytes = new Map<string, number>();
    for (const { model, bytes: own, state } of pipelines().flatMap(({ models }) => models)) {
      if (state === "resident") bytes.set(model, (bytes.get(model) ?? 0) + own);
    }
    const keys = new Map(served().map(({ name, key }) => [name, key]));
    return book
      .view([...keys.keys()])
      .map((page) => ({ ...page, residentBytes: bytes.get(keys.get(page.model) ?? "") ?? 0 }));
  }

  status(): StatusResponse {
    const { parts, activity, submit } = this.#viewed;
    const seen = this.#look();
    const { pipelines, nowMs } = seen;
    const { queues, policy } = seen.snapshot;
    return {
      deployment: this.identity,
      state: this.#state(seen),
      uptimeMs: nowMs - this.#startedAtMs,
      policy,
      pipelines: pipelines.map((pipeline) => this.#named(pipeline)),
      models: this.#viewed.served().map((served) => this.#statusOf(served, seen)),
      leftOut: this.#viewed.broken(),
      queues: queues.map((queue) => ({ ...queue, model: this.#nameOf(queue.model) })),
      ...activity.view(nowMs),
      ...submit.counts,
      ...parts.metrics.traffic(nowMs),
      tenants: submit.tenants,
      limits: shownLimits(parts.configuration.options),
      machine: shownMachine(parts.configuration),
      process: ownProcess(parts, submit.held.bytes),
    };
  }

  #look(): Seen {
    const nowMs = performance.now();
    const snapshot = this.#viewed.scheduler.snapshot(nowMs);
    const places = new Map(snapshot.models.map(({ model, place }) => [model, place]));
    const recommended = new Map(snapshot.models.map((each) => [each.model, each.recommended]));
    const pipelines = this.#viewed.pipelines();
    return { nowMs, snapshot, places, recommended, pipelines, isAnyUp: pipelines.some(isUp) };
  }

  /** One model that cannot be loaded takes no other one down: the server is ready while it can serve anything. */
  #state(seen: Seen): ServerState {
    if (this.#viewed.isDraining()) return "draining";
    const models = this.#models(seen);
    if (!this.#everReady) return "starting";
    if (!models.some(({ ready }) => ready)) return "not-ready";
    const isWhole =
      seen.pipelines.every(isUp) &&
      models.every(({ ready, reason }) => ready && reason === null) &&
      [...seen.places.values()].every(({ missing }) => missing === 0);
    return isWhole ? "ready" : "degraded";
  }

  /** Folders that are served, and those that should be and are broken. */
  #models(seen: Seen): ModelReadiness[] {
    const why = seen.pipelines.find((pipeline) => !isUp(pipeline))?.reason;
    const served = this.#viewed.served().map((each): ModelReadiness => {
      const { state, reason } = this.#statusOf(each, seen);
      const ready = canServe(state, seen);
      const missing = seen.isAnyUp
        ? "it has not been loaded yet"
        : (why ?? "no pipeline is up yet");
      return { model: each.name, ready, reason: ready ? reason : (reason ?? missing) };
    });
    const broken = this.#viewed
      .broken()
      .map(({ dir, reason }): ModelReadiness => ({ model: dir, ready: false, reason }));
    return [...served, ...broken];
  }

  #statusOf({ key, name, folder }: ServedFolder, seen: Seen): ModelStatus {
    const place = seen.places.get(key);
    const { bytes = 0, loadMs = 0, loads = 0, evictions = 0, failures = 0 } = place ?? {};
    const at = seen.pipelines.flatMap(({ pipelineId, models }) => {
      const its = models.find(({ model }) => model === key);
      return its === undefined ? [] : [{ pipelineId, state: its.state }];
    });
    const pipelines = at.filter(({ state }) => state === "resident").map((each) => each.pipelineId);
    const state = stateOf(
      pipelines.length > 0,
      at.some((each) => each.state === "loading"),
      place,
    );
    const reason = place?.reason ?? null;
    const counts = { loads, evictions, loadFailures: failures };
    const recommended = seen.recommended.get(key) ?? null;
    const unit = engineTable[folder.manifest.engine].unit(folder.manifest);
    return { model: name, state, reason, pipelines, bytes, loadMs, ...counts, unit, recommended };
  }

  #named(pipeline: PipelineStatus): PipelineStatus {
    const { doing, models, pipelineId } = pipeline;
    return {
      ...pipeline,
      work: this.#viewed.activity.workOf(pipelineId),
      models: models.map((each) => ({ ...each, model: this.#nameOf(each.model) })),
      doing: doing === null ? null : { ...doing, model: this.#nameOf(doing.model) },
    };
  }

  #nameOf(key: string): string {
    return this.#viewed.submit.nameOf(key);
  }
}

/** The same moment for all that is said of it. */
interface Seen {
  readonly nowMs: number;
  readonly snapshot: SchedulerSnapshot;
  readonly places: ReadonlyMap<string, PlaceSnapshot>;
  readonly recommended: ReadonlyMap<string, ModelStatus["recommended"]>;
  readonly pipelines: readonly PipelineStatus[];
  readonly isAnyUp: boolean;
}

function stateOf(
  isResident: boolean,
  isLoading: boolean,
  place: PlaceSnapshot | undefined,
): ModelStatus["state"] {
  if (isResident) return "resident";
  if (isLoading) return "loading";
  if (place?.isTooLarge === true) return "too-large";
  return (place?.failures ?? 0) > 0 ? "failed" : "on-disk";
}

function canServe(state: ModelStatus["state"], { isAnyUp }: Seen): boolean {
  return isAnyUp && state !== "failed" && state !== "too-large";
}

function isUp({ state }: PipelineStatus): boolean {
  return state === "ready" || state === "suspect";
}
