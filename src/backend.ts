/** Everything behind the fronts on this machine: models, prepare, scheduler and pool, and what is seen of them. */
import { fileURLToPath } from "node:url";
import {
  MillraceError,
  type ModelInfo,
  type ReadyResponse,
  type ServerState,
  type StatusResponse,
} from "millrace-client/wire";
import type { ServerViews } from "./front/views.js";
import { Activity } from "./metrics/activity.js";
import { findProcessor, processorWarning } from "./models/quantization.js";
import { type ModelFolder, ModelRegistry } from "./models/registry.js";
import type { Options } from "./options.js";
import { Preparer } from "./prepare/preparer.js";
import { Scheduler } from "./scheduler/scheduler.js";
import type { Backend, BackendParts } from "./server.js";
import { LocalSubmit, type ServedModel } from "./submit/local.js";
import type { PoolEvent } from "./worker/events.js";
import type { PipelineSpec } from "./worker/pipeline.js";
import { Pool } from "./worker/pool.js";

const childEntry = fileURLToPath(new URL("./runtime/entry.js", import.meta.url));

/** @throws MillraceError `model_folder_invalid` where the folder holds no model that can be served. */
export async function openBackend(parts: BackendParts): Promise<Backend> {
  const { options } = parts.configuration;
  const registry = await ModelRegistry.open(options.models);
  for (const { dir, reason } of registry.broken) parts.log.error({ dir, reason }, "model left out");
  for (const dir of registry.strays) parts.log.debug({ dir }, "a folder that is no model");
  const processor = findProcessor();
  for (const { dir, manifest } of registry.list()) {
    const reason = processorWarning(manifest, processor);
    if (reason !== null) parts.log.warn({ dir, reason }, "model slower than it could be");
  }
  const prepare = await Preparer.open({ registry, itemCharactersMax: options.itemCharactersMax });
  return new LocalBackend(parts, registry, prepare);
}

class LocalBackend implements Backend {
  readonly views: ServerViews;
  readonly submit: LocalSubmit;
  readonly #parts: BackendParts;
  readonly #registry: ModelRegistry;
  readonly #prepare: Preparer;
  readonly #scheduler: Scheduler;
  readonly #activity = new Activity();
  readonly #startedAtMs = performance.now();
  /** Settled by the first pipeline that is up, or when all have failed to start. */
  readonly #firstUp = new FirstUp();
  #pool: Pool | null = null;
  #draining = false;
  #everReady = false;

  constructor(parts: BackendParts, registry: ModelRegistry, prepare: Preparer) {
    const { options } = parts.configuration;
    const { policy, realtimeTargetMs, ageLimitMs, prefetchRows } = options;
    this.#parts = parts;
    this.#registry = registry;
    this.#prepare = prepare;
    this.#scheduler = new Scheduler({ policy, realtimeTargetMs, ageLimitMs, prefetchRows });
    this.submit = new LocalSubmit({
      models: new Map(registry.list().map((folder) => [folder.manifest.name, servedModel(folder)])),
      prepare,
      scheduler: this.#scheduler,
      makePool: (onEvent) => this.#makePool(onEvent),
      limits: { queuedItemsMax: options.queuedItemsMax, queuedBytesMax: options.queuedBytesMax },
      bulkThreshold: options.bulkThreshold,
      observer: {
        dispatched: (pipelineId, model, batch) => {
          const {
            batchId,
            class: workClass,
            reason,
            spans,
            tokens,
            paddedTokens,
            waitedMs,
          } = batch;
          const items = spans.reduce((sum, span) => sum + span.itemIds.length, 0);
          const record = { batchId, pipelineId, model, class: workClass, reason, items };
          const cost = { requests: spans.length, tokens, paddedTokens, waitedMs };
          this.#activity.dispatched({ ...record, ...cost }, performance.now());
          parts.metrics.batchDispatched({ ...record, ...cost });
        },
        waited: (workClass, ms) => this.#activity.waited(workClass, ms),
        retried: () => parts.metrics.itemRetried(),
        ended: (workClass, code) => {
          if (code === null) parts.metrics.itemDone(workClass);
          else parts.metrics.itemFailed(workClass, code);
        },
      },
    });
    this.views = {
      identity: parts.identity,
      status: () => this.#status(),
      ready: () => this.#ready(),
      models: () => registry.list().map((folder) => this.#modelInfo(folder)),
    };
  }

  async start(): Promise<void> {
    this.submit.start();
    await this.#firstUp.promise;
  }

  drain(): void {
    this.#draining = true;
    this.submit.refuseNew();
  }

  async stop(): Promise<void> {
    this.#draining = true;
    await this.submit.stop({ drainMs: 0 });
    await this.#prepare.close();
  }

  #makePool(onEvent: (event: PoolEvent) => void): Pool {
    const { options } = this.#parts.configuration;
    const specs = this.#registry.list().flatMap((folder) => pipelineSpecs(folder, options));
    const { startTimeoutMs, runMsMax, attemptsMax, restartBackoffMs } = options;
    this.#pool = new Pool(
      {
        entry: childEntry,
        pipelines: specs,
        log: this.#parts.log,
        startTimeoutMs,
        runMsMax,
        attemptsMax,
        backoffMinMs: restartBackoffMs,
        backoffMaxMs: 60 * restartBackoffMs,
      },
      (event) => {
        this.#observe(event, specs.length);
        onEvent(event);
      },
    );
    return this.#pool;
  }

  #observe(event: PoolEvent, pipelines: number): void {
    if (event.type === "up") {
      this.#everReady = true;
      this.#firstUp.up();
    }
    if (event.type === "start-failed") this.#firstUp.failed(event, pipelines);
    if (event.type !== "measured") return;
    for (const stage of event.stages) this.#activity.measured({ model: event.model, ...stage });
  }

  // ── Views: from memory, at once ───────────────────────────────────────────────────────────────────────────────

  #state(): ServerState {
    if (this.#draining) return "draining";
    const pipelines = this.#pool?.snapshot() ?? [];
    const up = new Set(pipelines.filter(isUp).map((pipeline) => pipeline.model));
    const models = this.#registry.list();
    if (!models.every(({ manifest }) => up.has(manifest.name))) {
      return this.#everReady ? "not-ready" : "starting";
    }
    return pipelines.every(isUp) && this.#registry.broken.length === 0 ? "ready" : "degraded";
  }

  #ready(): ReadyResponse {
    const state = this.#state();
    const notReady = (this.#pool?.snapshot() ?? [])
      .filter((pipeline) => !isUp(pipeline))
      .map(({ pipelineId, state: its, reason }) => ({ pipelineId, state: its, reason }));
    const ready = state === "ready" || state === "degraded";
    return { ready, state, notReady, deployment: this.#parts.identity };
  }

  #modelInfo({ manifest }: ModelFolder): ModelInfo {
    const { name, family, precision, limits, sourceLanguage, targetLanguage } = manifest;
    const pipelines = this.#pool?.snapshot() ?? [];
    const ready = pipelines.some((pipeline) => pipeline.model === name && isUp(pipeline));
    return {
      name,
      // The route is `translate` and the manifest says so too; this reply has always said it so.
      task: "translation",
      family,
      precision,
      ready,
      limits,
      ...(sourceLanguage === undefined ? {} : { sourceLanguage }),
      ...(targetLanguage === undefined ? {} : { targetLanguage }),
    };
  }

  #status(): StatusResponse {
    const { identity, connectionCount, eventLoopDelayP99Ms } = this.#parts;
    const nowMs = performance.now();
    const { queues, policy } = this.#scheduler.snapshot(nowMs);
    return {
      deployment: identity,
      state: this.#state(),
      uptimeMs: nowMs - this.#startedAtMs,
      policy,
      pipelines: this.#pool?.snapshot() ?? [],
      queues,
      ...this.#activity.view(nowMs),
      ...this.submit.counts,
      process: {
        pid: process.pid,
        rssBytes: process.memoryUsage.rss(),
        eventLoopDelayP99Ms: eventLoopDelayP99Ms(),
        connections: connectionCount(),
        queuedBytes: this.submit.held.bytes,
      },
    };
  }
}

/** Waits for the first pipeline; gives up when each has ended at least once and none was ever up. */
class FirstUp {
  readonly promise: Promise<void>;
  readonly #reasons = new Map<string, string>();
  #resolve: () => void = () => {};
  #reject: (error: MillraceError) => void = () => {};

  constructor() {
    this.promise = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    // Nobody may be waiting yet when it fails.
    this.promise.catch(() => {});
  }

  up(): void {
    this.#resolve();
  }

  failed({ pipelineId, reason }: { pipelineId: string; reason: string }, pipelines: number): void {
    this.#reasons.set(pipelineId, reason);
    if (this.#reasons.size < pipelines) return;
    const reasons = [...this.#reasons].map(([id, why]) => `\n  ${id}: ${why}`).join("");
    this.#reject(new MillraceError("not_ready", `no pipeline could start${reasons}`));
  }
}

function isUp({ state }: { readonly state: string }): boolean {
  return state === "ready" || state === "suspect";
}

function servedModel({ manifest }: ModelFolder): ServedModel {
  const { lengthPenalty, maxLength } = manifest.generation;
  return {
    name: manifest.name,
    mode: "generation",
    defaults: { lengthPenalty, maxLength },
    outputTokensMax: manifest.limits.outputTokensMax,
  };
}

/** Each model gets all the pipelines that the options ask for. */
function pipelineSpecs({ dir, manifest }: ModelFolder, options: Options): PipelineSpec[] {
  const { threads, rowsMax, pipelines, realtimePipelines, batchPipelines } = options;
  const kinds = [
    { kind: "shared", count: pipelines },
    { kind: "realtime", count: realtimePipelines },
    { kind: "bulk", count: batchPipelines },
  ] as const;
  return kinds.flatMap(({ kind, count }) =>
    Array.from({ length: count }, (_, index) => ({
      pipelineId: `${manifest.name}/${kind}-${index + 1}`,
      model: manifest.name,
      kind,
      modelDir: dir,
      threads,
      rowsMax,
    })),
  );
}
