/**
 * READ FIRST: the backend on this machine, what is wired to what. It decides nothing.
 *
 *   folders ─► task models ─► prepare ─┐
 *   scheduler ─────────────────────────┼─► submit ─► fronts
 *   pool of worker processes ──────────┘      │
 *   activity, metrics ◄── what happens ───────┘ ──► views
 */
import { fileURLToPath } from "node:url";
import {
  MillraceError,
  type ModelsReload,
  type PipelineStatus,
  type SampledProfile,
  type WorkClass,
} from "millrace-client/wire";
import type { StageReport } from "../frames/messages.js";
import { Activity } from "../metrics/activity.js";
import { engineTable, rowsMaxOf } from "../models/engine-table.js";
import { expectedBytes } from "../models/folder-bytes.js";
import { findProcessor, processorWarning } from "../models/quantization.js";
import { type BrokenFolder, type ModelFolder, ModelRegistry } from "../models/registry.js";
import type { Options } from "../options/options.js";
import { Preparer } from "../prepare/preparer.js";
import type { AskedSampling } from "../profile/profiles.js";
import { Recorder } from "../record/recorder.js";
import { checkRuntime } from "../runtime/installed-runtime.js";
import { weightsCacheArguments } from "../runtime/weights-cache.js";
import { Scheduler } from "../scheduler/scheduler.js";
import type { Batch } from "../scheduler/types.js";
import { type HostedTaskModel, LocalSubmit } from "../submit/local/local-submit.js";
import type { Submit } from "../submit/submit.js";
import { openTaskModels, prepareThreadOf } from "../tasks/open.js";
import { taskOf, tasks } from "../tasks/table.js";
import type { TaskModel } from "../tasks/task.js";
import type { PoolEvent } from "../worker/events.js";
import type { PipelineSpec } from "../worker/pipeline.js";
import { Pool } from "../worker/pool.js";
import type { Backend, BackendParts, NodeSide } from "./backend.js";
import { CountedSubmit } from "./counted-submit.js";
import { FirstUp } from "./first-up.js";
import { checkNames, keepOf, missingOf, pinnedWarning, tooLargeAmong } from "./keep.js";
import { LocalRepository } from "./local-repository.js";
import { LocalViews } from "./local-views.js";
import { ModelBook } from "./model-book.js";
import { type ModelPlaces, openPlaces } from "./model-places.js";
import { recordedServer } from "./recorded-server.js";
import { type FoundModels, type HostedFolder, ServedModels, versionOf } from "./served-models.js";
import { ToldPaths } from "./told-paths.js";

const runtimeEntry = fileURLToPath(new URL("../runtime/entry.js", import.meta.url));

/** @throws MillraceError `model_folder_invalid` where the folder holds no model that can be served. */
export async function openBackend(parts: BackendParts): Promise<Backend> {
  checkRuntime();
  const { preload } = parts.configuration.options;
  const places = await openPlaces(parts);
  try {
    const found = await findModels({ ...parts, places }, []);
    const names = found.served.map(({ hosted }) => hosted.name);
    // What is fetched may come later.
    if (places.fetched === null) checkNames(preload, names);
    return new LocalBackend({ ...parts, places }, found);
  } catch (error) {
    await places.close();
    throw error;
  }
}

type LocalParts = BackendParts & { readonly places: ModelPlaces };

/** What the folder holds now. A version that is known is not opened again. */
async function findModels(parts: LocalParts, known: readonly HostedFolder[]): Promise<FoundModels> {
  const { options } = parts.configuration;
  const folders = known.map(({ folder }) => folder);
  const { modelsDir, fetched } = parts.places;
  const registry = await ModelRegistry.open(modelsDir, folders, fetched);
  const open = new Map(known.map(({ folder, hosted }) => [versionOf(folder), hosted.taskModel]));
  const { models, broken: unprepared } = await openTaskModels(registry.list(), options, (folder) =>
    open.get(versionOf(folder)),
  );
  const broken = [...registry.broken, ...unprepared, ...(fetched?.broken ?? [])];
  for (const { dir, reason } of broken) parts.log.error({ dir, reason }, "model left out");
  for (const dir of registry.strays) parts.log.debug({ dir }, "a folder that is no model");
  const processor = findProcessor();
  for (const { dir, manifest } of registry.list().filter((each) => !folders.includes(each))) {
    const reason = processorWarning(manifest, processor);
    if (reason !== null) parts.log.warn({ dir, reason }, "model slower than it could be");
  }
  const prepared = registry.list().flatMap((folder) => {
    const model = models.get(folder.manifest.name);
    return model === undefined ? [] : [{ folder, model }];
  });
  if (prepared.length > 0 || fetched !== null) {
    const { aliases } = registry;
    return { served: await hostedModels(prepared, parts), broken, aliases };
  }
  const reasons = broken.map(({ dir, reason }) => `\n  ${dir}: ${reason}`).join("");
  const message = `${modelsDir ?? options.models} holds no model that can be served${reasons}`;
  throw new MillraceError("model_folder_invalid", message);
}

interface OpenedFolder {
  readonly folder: ModelFolder;
  readonly model: TaskModel;
}

class LocalBackend implements Backend {
  readonly submit: Submit;
  readonly #local: LocalSubmit;
  readonly #book = new ModelBook();
  readonly views: LocalViews;
  readonly repository: LocalRepository;
  readonly node: NodeSide;
  readonly recorder: Recorder;
  readonly #onChange = new Set<() => void>();
  readonly #parts: LocalParts;
  readonly #prepare: Preparer;
  readonly #told: ToldPaths;
  readonly #served: ServedModels;
  readonly #activity = new Activity();
  /** Settled by the first pipeline that is up, or when all have failed to start. */
  readonly #firstUp: FirstUp;
  readonly #specs: readonly PipelineSpec[];
  #pool: Pool | null = null;
  #draining = false;

  constructor(parts: LocalParts, found: FoundModels) {
    const { served } = found;
    const { options } = parts.configuration;
    this.#parts = parts;
    this.#told = new ToldPaths(options);
    this.#specs = pipelineSpecs(options);
    const tooLarge = tooLargeAmong(hostedOf(served), modelMemoryBytesMaxOf(options));
    const preloaded = hostedOf(served)
      .filter(({ keep, name }) => keep !== "on-demand" && !tooLarge.has(name))
      .map(({ key }) => key);
    this.#firstUp = new FirstUp({ pipelines: this.#specs.length, preloaded });
    const onNotOpened = (model: string, reason: string): void =>
      parts.log.warn({ model, reason }, "prepared on the event loop: the thread cannot open it");
    this.#prepare = new Preparer({ ...preparing(served, options), onNotOpened });
    this.#served = new ServedModels(found, {
      modelsDir: options.models,
      find: (known) => findModels(parts, known),
      missingOf: (names) => missingOf(options.preload, names),
      host: (model) => this.#local.host(model),
      serve: (name, model) => this.#local.serve(name, model),
      retire: (key) => this.#local.retire(key),
      prepare: (models) => this.#prepare.replace(preparing(models, options)),
      isResident: (key) =>
        this.#pool?.snapshot().some(({ models }) => models.some(({ model }) => model === key)) ??
        false,
    });
    const scheduler = schedulerOf(options);
    this.recorder = this.#newRecorder(scheduler);
    this.#local = new LocalSubmit({
      tasks,
      models: new Map(served.map(({ hosted }) => [hosted.name, hosted])),
      prepare: this.#prepare,
      scheduler,
      makePool: (onEvent) => this.#makePool(onEvent),
      limits: options,
      bulkThreshold: options.bulkThreshold,
      observer: {
        dispatched: (pipelineId, model, batch) => this.#dispatched(pipelineId, model, batch),
        waited: (workClass, ms) => this.#activity.waited(workClass, ms),
        retried: () => parts.metrics.itemRetried(),
        ended: (workClass: WorkClass, code, items) => {
          if (code === null) parts.metrics.itemsDone(workClass, items);
          else parts.metrics.itemsFailed(workClass, code, items);
        },
      },
      recorder: this.recorder,
      onBroken: parts.onBroken,
    });
    this.#served.start();
    const isServed = (model: string): boolean =>
      this.#served.named.some(({ hosted }) => hosted.name === model);
    this.submit = new CountedSubmit(this.#local, this.#book, isServed);
    this.views = new LocalViews({
      parts,
      served: () => this.#served.named.map(({ folder, hosted }) => ({ folder, ...hosted })),
      broken: () => this.#broken(),
      activity: this.#activity,
      submit: this.#local,
      book: this.#book,
      scheduler,
      pipelines: () => this.#pipelines(),
      isDraining: () => this.#draining,
    });
    this.node = this.#nodeSide();
    const { startTimeoutMs } = options;
    const { views } = this;
    this.repository = new LocalRepository({ served: this.#served, views, startTimeoutMs });
  }

  #newRecorder(scheduler: Scheduler): Recorder {
    return new Recorder({
      describe: () =>
        recordedServer({
          configuration: this.#parts.configuration,
          specs: this.#specs,
          served: this.#served.named,
          snapshot: scheduler.snapshot(performance.now()),
          pipelines: this.#pipelines(),
          nameOf: (key) => this.#local.nameOf(key),
          openRequests: this.#local.held.requests,
        }),
      openRequests: () => this.#local.held.requests,
    });
  }

  async start(): Promise<void> {
    this.#local.start();
    await this.#firstUp.promise;
    if (this.#draining) return;
    this.#parts.places.follow(async () => {
      // Why it could not is in the log.
      await this.reload().catch(() => {});
    });
  }

  #nodeSide(): NodeSide {
    return {
      submit: this.submit,
      models: () => this.views.models(),
      tasksOf: (model) => {
        const found = this.#served.named.find(({ hosted }) => hosted.name === model);
        if (found === undefined) return [];
        const { task, taskModel } = found.hosted;
        return [task.name, ...(taskModel.lent?.keys() ?? [])];
      },
      onChange: (listener) => {
        this.#onChange.add(listener);
        return () => this.#onChange.delete(listener);
      },
    };
  }

  /** For callers: those too that should be there and are not. */
  #broken(): readonly BrokenFolder[] {
    const missing = this.#served.missing.map((dir) => {
      return { dir, reason: "--preload names it, and there is no such model any more" };
    });
    return [...this.#served.broken.map((each) => this.#told.folder(each)), ...missing];
  }

  #pipelines(): PipelineStatus[] {
    return (this.#pool?.snapshot() ?? []).map((pipeline) => {
      const { reason } = pipeline;
      return reason === null ? pipeline : { ...pipeline, reason: this.#told.text(reason) };
    });
  }

  async reload(): Promise<ModelsReload> {
    const { log } = this.#parts;
    if (this.#draining) throw new MillraceError("draining", "the server is stopping");
    try {
      const found = await this.#served.reload();
      log.info({ ...found, broken: found.broken.length }, "models read again");
      const { missing } = found;
      if (missing.length > 0) log.warn({ missing }, "--preload names models that are not there");
      return { ...found, broken: found.broken.map((each) => this.#told.folder(each)) };
    } catch (error) {
      log.error({ err: error }, "models could not be read again; all stays as it was");
      if (!(error instanceof MillraceError)) throw error;
      throw new MillraceError(error.code, this.#told.text(error.message), { cause: error });
    }
  }

  get pipelineIds(): readonly string[] {
    return this.#pool?.pipelineIds ?? [];
  }

  profile(pipelineId: string, asked: AskedSampling): Promise<SampledProfile> | null {
    return this.#pool?.profile(pipelineId, asked) ?? null;
  }

  drain(): void {
    this.#draining = true;
    this.#local.refuseNew();
  }

  async stop({ drainMs }: { readonly drainMs: number }): Promise<boolean> {
    this.#draining = true;
    const closing = this.#parts.places.close();
    this.#served.close();
    this.#firstUp.stopped();
    const drained = await this.#local.drain({ drainMs });
    // At once: what is still being prepared fails now, and not when the pipelines are gone.
    await Promise.all([this.#local.stop({ drainMs: 0 }), this.#prepare.close(), closing]);
    return drained;
  }

  #makePool(onEvent: (event: PoolEvent) => void): Pool {
    const { startTimeoutMs, runMsMax, attemptsMax, restartBackoffMs } =
      this.#parts.configuration.options;
    this.#pool = new Pool(
      {
        entry: this.#parts.workerEntry ?? runtimeEntry,
        entryArguments: weightsCacheArguments(this.#parts.configuration.options),
        pipelines: this.#specs,
        log: this.#parts.log,
        startTimeoutMs,
        runMsMax,
        attemptsMax,
        backoffMinMs: restartBackoffMs,
        backoffMaxMs: backoffDoublings * restartBackoffMs,
      },
      (event) => {
        this.#observe(event);
        // From here on it may reach callers, and what is wrong is in the log.
        const told = this.#told.event(event);
        onEvent(told);
        this.#served.observed(told);
        if (isNews(told)) for (const onChange of this.#onChange) onChange();
      },
    );
    return this.#pool;
  }

  #observe(event: PoolEvent): void {
    if (event.type === "loaded") {
      this.views.becameReady();
      this.#firstUp.loaded();
    }
    if (event.type === "up" && this.#firstUp.up()) this.views.becameReady();
    if (event.type === "start-failed") this.#firstUp.pipelineFailed(event.pipelineId, event.reason);
    if (event.type === "load-failed") this.#firstUp.loadFailed(event.model, event.reason);
    // Who ended it from outside may have meant the process and not the model.
    if (event.type === "down" && event.loading?.isFault === true)
      this.#firstUp.loadFailed(event.loading.model, event.reason);
    if (event.type === "down") this.recorder.down(event.pipelineId);
    if (event.type !== "measured") return;
    const model = this.#local.nameOf(event.model);
    if (this.recorder.isOn) this.#recordRuns(event.pipelineId, model, event.stages);
    for (const { sizes, ...stage } of event.stages) {
      this.#activity.measured(event.pipelineId, { model, ...stage });
      this.#book.measured({ model, stage: stage.stage, sizes });
    }
  }

  #recordRuns(pipelineId: string, model: string, reports: readonly StageReport[]): void {
    const pipeline = this.#pool?.snapshot().find((each) => each.pipelineId === pipelineId);
    const isBusy = (pipeline?.items.inFlight ?? 0) > 0;
    const stages = reports.map(({ sizes, ...sums }) => {
      const bySize = sizes.map(({ rows, runs, ms }) => [rows, runs, ms] as const);
      return { ...sums, sizes: bySize };
    });
    this.recorder.measured({ pipelineId, model, stages, isBusy });
  }

  #dispatched(pipelineId: string, model: string, batch: Batch): void {
    this.recorder.dispatched(pipelineId);
    const { batchId, class: workClass, reason, segments, units, paddedUnits, waitedMs } = batch;
    const items = segments.reduce((sum, { itemIds }) => sum + itemIds.length, 0);
    const requests = segments.length;
    const record = { batchId, pipelineId, model, class: workClass, reason, items, requests };
    const cost = { units, paddedUnits, waitedMs };
    this.#activity.dispatched({ ...record, ...cost }, performance.now());
    this.#parts.metrics.batchDispatched({ ...record, ...cost });
  }
}

/** What others may choose this machine by, beside how long its queue is. */
function isNews({ type }: PoolEvent): boolean {
  return type !== "returned" && type !== "measured";
}

function schedulerOf(options: Options): Scheduler {
  const { policy, realtimeTargetMs, ageLimitMs, prefetchRows } = options;
  const { restartBackoffMs: loadBackoffMinMs } = options;
  return new Scheduler({
    policy,
    realtimeTargetMs,
    ageLimitMs,
    prefetchRows,
    loadBackoffMinMs,
    loadBackoffMaxMs: backoffDoublings * loadBackoffMinMs,
  });
}

/** Where `--restart-backoff-ms` ends to double. */
const backoffDoublings = 60;

/** By the names of pipelines: two versions of a model are two to whoever prepares. */
function preparing(
  models: readonly HostedFolder[],
  options: Options,
): ConstructorParameters<typeof Preparer>[0] {
  const folders = new Map(models.map(({ folder, hosted }) => [hosted.key, folder]));
  return {
    models: new Map(models.map(({ hosted }) => [hosted.key, hosted.taskModel])),
    thread: prepareThreadOf(folders, options),
  };
}

async function hostedModels(
  opened: readonly OpenedFolder[],
  { configuration: { options }, log }: Pick<BackendParts, "configuration" | "log">,
): Promise<HostedFolder[]> {
  const sharing = { ...options, pipelines: pipelinesOf(options) };
  const served = await Promise.all(
    opened.map(async ({ folder, model: taskModel }) => {
      const { dir, path: modelDir = dir, manifest, version } = folder;
      const { name } = manifest;
      const engine = engineTable[manifest.engine];
      const mode = engine.mode(manifest);
      const runRowsMax = engine.runRowsMax(manifest);
      const runs = runRowsMax === null ? {} : { runRowsMax };
      const bytes = await expectedBytes(folder, sharing);
      const keep = keepOf(options.preload, name);
      const rows = { rowsMax: rowsMaxOf(manifest, options), ...runs };
      const hosted = { key: name, name, modelDir, mode, ...bytes, keep, ...rows };
      const of = version === undefined ? hosted : { ...hosted, version };
      return { folder, hosted: { ...of, task: taskOf(manifest), taskModel } };
    }),
  );
  for (const [model, reason] of tooLargeAmong(hostedOf(served), modelMemoryBytesMaxOf(options))) {
    log.error({ model, reason }, "model too large");
  }
  const warning = pinnedWarning(hostedOf(served), modelMemoryBytesMaxOf(options));
  if (warning !== null) log.warn(warning);
  return served;
}

function hostedOf(models: readonly HostedFolder[]): HostedTaskModel[] {
  return models.map(({ hosted }) => hosted);
}

/** Of one pipeline. */
function modelMemoryBytesMaxOf(options: Options): number {
  return Math.floor(options.modelMemoryBytes / pipelinesOf(options));
}

function pipelinesOf({ pipelines, realtimePipelines, bulkPipelines }: Options): number {
  return pipelines + realtimePipelines + bulkPipelines;
}

/** So many processes, whatever the number of models. */
function pipelineSpecs(options: Options): PipelineSpec[] {
  const { threads, pipelines, realtimePipelines, bulkPipelines } = options;
  const modelMemoryBytesMax = modelMemoryBytesMaxOf(options);
  const kinds = [
    { kind: "shared", count: pipelines },
    { kind: "realtime", count: realtimePipelines },
    { kind: "bulk", count: bulkPipelines },
  ] as const;
  return kinds.flatMap(({ kind, count }) =>
    Array.from({ length: count }, (_, index) => ({
      pipelineId: `${kind}-${index + 1}`,
      kind,
      threads,
      modelMemoryBytesMax,
    })),
  );
}
