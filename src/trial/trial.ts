/**
 * READ FIRST: how many pipelines, and of how many threads, is measured and not guessed. One model wants one thread each,
 * another the reverse. At the first start with a model the layouts that the cores allow (layouts.ts) run for a moment each
 * (measure.ts), and the best is kept (kept-trial.ts) and taken from then on.
 *
 * It is left out where pipelines or threads are given, where there is nothing to choose, where the result could not be
 * kept, and while the machine is busy with other things. Whatever goes wrong in it costs its time, and the defaults stand.
 */
import { fileURLToPath } from "node:url";
import type { Log } from "../log.js";
import { engineTable } from "../models/engine-table.js";
import { filesBytes } from "../models/folder-bytes.js";
import type { ModelManifest } from "../models/manifest.js";
import { readModel } from "../models/read-manifest.js";
import { findModels } from "../models/registry.js";
import { pipelinesMax } from "../options/machine.js";
import { type Configuration, withMeasured } from "../options/resolve.js";
import { weightsCacheArguments } from "../runtime/weights-cache.js";
import { forget, keep, keptPath, readKept, trialRows } from "./kept-trial.js";
import {
  bestOf,
  type CoreLayout,
  describeLayouts,
  isOneBest,
  layoutsOf,
  type MeasuredLayout,
} from "./layouts.js";
import { machineLoad } from "./machine-load.js";
import { type MeasureOptions, measureLayout, type TrialModel } from "./measure.js";

const runtimeEntry = fileURLToPath(new URL("../runtime/entry.js", import.meta.url));
const usualWindowMs = 1_000;
/** Of the machine's processors: where more than this is in use now, what is measured says little about the machine. */
export const trialLoadMax: number = 0.5;
/** A model that takes longer to load is not tried; it would hold up the start too long. */
const usualTrialMsMax = 15_000;
/** Of a pipeline's memory beside its weights: a guess on the safe side, for what nobody has measured yet. */
const pipelineBytes = 256 * 1024 * 1024;

export interface TrialParts {
  readonly log: Log;
  readonly signal?: AbortSignal;
  /** The children's script; default: the one that pipelines run. */
  readonly entry?: string;
  /** For each run of a layout; default: a second, less where there are many. */
  readonly windowMs?: number;
  /** Of all layouts, loading included. */
  readonly trialMsMax?: number;
  /** How busy the machine is, 1: all of it; default: as it is found. */
  readonly load?: number;
}

/** The configuration with the layout that was measured before, where there is one. Starts nothing. */
export async function withKeptTrial(configuration: Configuration): Promise<Configuration> {
  if (!isWanted(configuration)) return configuration;
  const model = await findLargest(configuration.options.models);
  const measured = model === null ? null : await readKept(keptPath(configuration, model.manifest));
  return measured === null ? configuration : withLayout(configuration, measured);
}

/** The same; measures now where it was not measured before. @throws the signal's reason. */
export async function withTrial(
  configuration: Configuration,
  parts: TrialParts,
): Promise<Configuration> {
  if (!isWanted(configuration)) return configuration;
  const model = await findLargest(configuration.options.models);
  if (model === null) return configuration;
  const path = keptPath(configuration, model.manifest);
  const before = await readKept(path);
  if (before !== null) return withLayout(configuration, before);
  const load = parts.load ?? (await machineLoad(parts.signal));
  if (load > trialLoadMax) {
    const fields = { load: Number(load.toFixed(2)) };
    parts.log.info(fields, "the machine is busy: pipelines and threads are measured another time");
    return configuration;
  }
  try {
    // Until there is a result this one stands, also if this process is killed meanwhile: a trial that takes the machine
    // down is not repeated at each start.
    await keep(path, []);
    const measured = await runTrial(configuration, model, parts);
    await keep(path, measured);
    return withLayout(configuration, measured);
  } catch (error) {
    if (parts.signal?.aborted === true) await forget(path);
    parts.signal?.throwIfAborted();
    parts.log.warn({ err: error }, "pipelines and threads could not be measured");
    return configuration;
  }
}

function isWanted({ options, sources, machine }: Configuration): boolean {
  const keys = ["pipelines", "realtimePipelines", "bulkPipelines", "threads"] as const;
  const open = keys.every((key) => sources[key] === "default");
  // An edge has no pipelines.
  return options.trial === "auto" && options.role !== "edge" && open && machine.cores > 1;
}

function withLayout(
  configuration: Configuration,
  measured: readonly MeasuredLayout[],
): Configuration {
  const best = bestOf(measured);
  return best === null
    ? configuration
    : withMeasured(configuration, best, describeLayouts(measured));
}

interface Found extends TrialModel {
  readonly manifest: ModelManifest;
  readonly bytes: number;
}

/** What is slowest is what the layout should be for. Folders that are broken are the start's business. */
async function findLargest(modelsDir: string): Promise<Found | null> {
  const dirs = await findModels(modelsDir).catch(() => []);
  const found: Found[] = [];
  for (const place of dirs) {
    const model = await readModel(place).catch(() => null);
    if (model === null) continue;
    const { dir, manifest } = model;
    const sample = engineTable[manifest.engine].sampler?.(manifest) ?? null;
    // Several models of one folder are told apart by where each is read from.
    if (sample === null) continue;
    // What was converted says how large it was; a file that is missing is the start's business as well.
    const bytes =
      "source" in manifest
        ? manifest.source.weightsBytes
        : await filesBytes({ dir, manifest }).catch(() => 0);
    found.push({ modelDir: place, manifest, sample, bytes });
  }
  found.sort((left, right) => right.bytes - left.bytes);
  return found[0] ?? null;
}

/** Empty where not all could be measured: half of a comparison is none. */
async function runTrial(
  { options, machine }: Configuration,
  model: Found,
  parts: TrialParts,
): Promise<readonly MeasuredLayout[]> {
  const { log, signal, entry = runtimeEntry } = parts;
  const { windowMs = usualWindowMs, trialMsMax = usualTrialMsMax } = parts;
  const layouts = layoutsOf(machine.cores, pipelinesMax).filter((layout) =>
    fits(layout, model.bytes, machine.memoryBytes),
  );
  if (layouts.length < 2) return [];
  log.info(
    { model: model.manifest.name, layouts: layouts.length },
    "measuring pipelines and threads",
  );
  const time = AbortSignal.timeout(trialMsMax);
  const measureOptions: MeasureOptions = {
    entry,
    entryArguments: weightsCacheArguments(options),
    rowsMax: trialRows(options),
    log,
    windowMs: Math.min(windowMs, trialMsMax / 6 / layouts.length),
    signal: signal === undefined ? time : AbortSignal.any([signal, time]),
  };
  const { measured, isSettled } = await measureInTurns(layouts, {
    measure: (layout) => measureLayout(layout, model, measureOptions),
    time,
  });
  if (measured.length === 0)
    log.warn({ trialMsMax }, "measuring took too long: the defaults stand");
  else if (isSettled) log.info({ measured: describeLayouts(measured) }, "measured");
  else {
    const fields = { measured: describeLayouts(measured), cacheDir: options.cacheDir };
    log.warn(
      fields,
      "measured, but the runs of one layout differ more than the layouts do: something else used the machine; without the cache folder's trials-v1 the next start measures again",
    );
  }
  return measured;
}

/** More than the fewest where those have not settled which is best. */
const passesMin = 2;
const passesMax = 6;

/**
 * In turns, so that no layout's runs lie side by side; and the best of each counts: what else runs for a moment makes things slower, never
 * faster. Where the time is over before each has run once there is no result; where it is over later, what is there by then.
 */
export async function measureInTurns(
  layouts: readonly CoreLayout[],
  how: {
    readonly measure: (layout: CoreLayout) => Promise<number>;
    readonly time: AbortSignal;
  },
): Promise<{ readonly measured: readonly MeasuredLayout[]; readonly isSettled: boolean }> {
  const runs = layouts.map((layout) => ({ layout, rates: [] as number[] }));
  const isSettled = (): boolean => isOneBest(runs.map(({ rates }) => rates));
  try {
    for (let pass = 0; pass < passesMin || (pass < passesMax && !isSettled()); pass++)
      for (const { layout, rates } of runs) rates.push(await how.measure(layout));
  } catch (error) {
    if (!how.time.aborted) throw error;
    if (runs.some(({ rates }) => rates.length === 0)) return { measured: [], isSettled: false };
  }
  const measured = runs.map(({ layout, rates }) => ({
    ...layout,
    itemsPerSecond: Math.max(...rates),
  }));
  return { measured, isSettled: isSettled() };
}

function fits({ pipelines }: CoreLayout, weightsBytes: number, memoryBytes: number): boolean {
  return pipelines * (3 * weightsBytes + pipelineBytes) <= memoryBytes / 2;
}
