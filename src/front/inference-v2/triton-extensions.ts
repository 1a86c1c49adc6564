/** Triton's extensions that its clients use: statistics, a model's configuration, and the folder of models. */
import { MillraceError, type ModelInfo, type TensorDatatype } from "millrace-client/wire";
import { type Caller, mayUse } from "../../work/caller.js";
import type { ModelRepository } from "../../work/model-repository.js";
import type { ModelStatistics, TimedCount } from "../../work/views.js";
import { type ModelAsker, onlyVersion, type V2Models } from "./v2-models.js";

/** By the protocol's datatypes. */
const configTypes: Readonly<Partial<Record<TensorDatatype, string>>> = { BYTES: "TYPE_STRING" };

/** Triton's own words for what a model takes and gives; the first axis is none of a batch there, it is in the shapes. */
export function configOf(models: V2Models, model: ModelInfo): object {
  const { inputs, outputs } = models.tensorsOf(model);
  const tensors = (list: typeof inputs): object[] =>
    list.map(({ name, datatype, shape }) => ({
      name,
      data_type: configTypes[datatype] ?? `TYPE_${datatype}`,
      dims: [...shape],
    }));
  return {
    name: model.name,
    platform: models.platformOf(model),
    backend: "onnxruntime",
    max_batch_size: 0,
    input: tensors(inputs),
    output: tensors(outputs),
  };
}

/** Of one model, or of all that the caller may know of. */
export function statisticsOf(models: V2Models, name: string, asked: ModelAsker): object {
  const only = name === "" ? null : models.find(name, asked).name;
  const pages = models.parts.views.statistics();
  const told = pages.filter(({ model }) =>
    only === null ? mayUse(asked.caller, model) : model === only,
  );
  return { model_stats: told.map(modelStatistics) };
}

function modelStatistics(page: ModelStatistics): object {
  const runs = page.runs.reduce((sum, { count }) => sum + count, 0);
  const never = { count: 0, ns: 0 };
  return {
    name: page.model,
    version: onlyVersion,
    last_inference: page.lastAtMs,
    inference_count: page.inputs,
    execution_count: runs,
    inference_stats: {
      success: durationOf(page.done),
      fail: durationOf(page.failed),
      queue: durationOf(page.queue),
      compute_input: durationOf(page.prepare),
      compute_infer: durationOf(page.compute),
      compute_output: durationOf(page.rest),
      // There is no cache of answers.
      cache_hit: never,
      cache_miss: never,
    },
    response_stats: {},
    batch_stats: page.runs.map(({ rows, ...timed }) => ({
      batch_size: rows,
      // Within the run; what is before and behind it is in the sums above.
      compute_input: never,
      compute_infer: durationOf(timed),
      compute_output: never,
    })),
    memory_usage: [{ type: "CPU", id: 0, byte_size: page.residentBytes }],
  };
}

function durationOf({ count, ms }: TimedCount): object {
  return { count, ns: Math.round(ms * 1e6) };
}

export interface ModelIndexEntry {
  readonly name: string;
  readonly version: string;
  readonly state: "READY" | "UNAVAILABLE";
  readonly reason: string;
}

/** What is served, what could be, and what cannot be, with the reason. */
export function repositoryIndex(
  models: V2Models,
  caller: Caller,
  onlyReady: boolean,
): readonly ModelIndexEntry[] {
  const { views, repository } = models.parts;
  const served = views.models();
  const names = new Set(served.map(({ name }) => name));
  const entry = (name: string, ready: boolean, reason: string | null): ModelIndexEntry => {
    const state = ready ? "READY" : "UNAVAILABLE";
    return { name, version: onlyVersion, state, reason: reason ?? "" };
  };
  const entries = [
    ...served.map(({ name, ready, reason }) => entry(name, ready, reason)),
    ...(repository?.unloaded ?? []).map((name) => entry(name, false, "unloaded")),
    ...views
      .ready()
      .models.filter(({ model }) => !names.has(model))
      .map(({ model, reason }) => entry(model, false, reason)),
  ];
  const known = entries.filter(({ name }) => mayUse(caller, name));
  return onlyReady ? known.filter(({ state }) => state === "READY") : known;
}

/** Of a request to load or unload: what Triton knows of them and we do not would be passed over else. */
export function refuseLoadParameters(parameters: Readonly<Record<string, unknown>>): void {
  for (const name of Object.keys(parameters)) {
    // Nothing depends on another model here.
    if (name === "unload_dependents") continue;
    const param = `parameters.${name.slice(0, 64)}`;
    const message = `\`${param}\`: a model is loaded as its folder says, and nothing else is taken`;
    throw new MillraceError("bad_request", message, { param });
  }
}

/** @throws MillraceError `not_found` where there is no folder of models. */
export function repositoryOf({ parts }: V2Models): ModelRepository {
  if (parts.repository !== undefined) return parts.repository;
  throw new MillraceError("not_found", "there is no folder of models here");
}
