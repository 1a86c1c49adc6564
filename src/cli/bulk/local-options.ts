/** What `open` is told where a command does the work by itself: the options that `serve` would have, and no more than is needed. */
import { dirname } from "node:path";
import type { MillraceError } from "millrace-client/wire";
import { type ReadModel, readModel } from "../../models/read-manifest.js";
import { findModels } from "../../models/registry.js";
import { type OpenOptions, optionsOfPorts } from "../../open.js";
import { baseOptions } from "../../options/base-options.js";
import type { Configuration } from "../../options/resolve.js";
import { withKeptTrial } from "../../trial/trial.js";
import { AdvisedError } from "../advised-error.js";
import { configurationFrom } from "../option-flags.js";
import type { Work } from "./workplace.js";

/** Of a server, or decided here. */
const leftOut: readonly string[] = [
  ...optionsOfPorts,
  "log",
  "logLevel",
  "trial",
  "models",
  "preload",
];

/** More threads than this do not make one sentence faster. */
const littleThreadsMax = 4;

interface WantedModel extends Work {
  /** Absent: the only one that there is for the task. */
  readonly model?: string;
}

export interface LocalOptions {
  readonly options: OpenOptions;
  /** For people: which models, on how many pipelines. */
  readonly told: string;
}

/**
 * `given` is as a server's flags: it wins over variables and the file.
 *
 * @throws MillraceError `option_invalid`; `model_folder_invalid` where there is no such folder; `model_not_found` where it has
 * no model for the task, with what to type.
 */
export async function localOptions(
  { task, amount, model }: WantedModel,
  given: { readonly models?: string },
): Promise<LocalOptions> {
  const configuration = configurationFrom(given);
  const { models } = configuration.options;
  const found = await modelFor(models, task, model);
  const laidOut = await layoutFor(configuration, amount);
  const options: OpenOptions = {
    ...taken(configuration),
    models: found?.isNarrow === true ? found.folder : models,
    preload: found?.name ?? "none",
    modelsWatchMs: 0,
    logLevel: "error",
    ...laidOut.layout,
  };
  const what = found === null ? `the models of ${models}` : `${found.name} of ${models}`;
  return { options, told: `${what}, on ${laidOut.told}` };
}

/** What somebody has set; all else is found again by `open`. */
function taken({ options, sources }: Configuration): OpenOptions {
  const keys = (Object.keys(baseOptions) as (keyof typeof baseOptions)[]).filter(
    (key) => sources[key] !== "default" && !leftOut.includes(key),
  );
  return Object.fromEntries(keys.map((key) => [key, options[key]]));
}

interface Layout {
  readonly layout: Pick<OpenOptions, "pipelines" | "threads">;
  readonly told: string;
}

async function layoutFor(configuration: Configuration, amount: Work["amount"]): Promise<Layout> {
  const { options, sources, machine } = configuration;
  const keys = ["pipelines", "realtimePipelines", "bulkPipelines", "threads"] as const;
  const isOpen = keys.every((key) => sources[key] === "default");
  if (isOpen && amount === "little") {
    const threads = Math.min(littleThreadsMax, machine.cores);
    return { layout: { pipelines: 1, threads }, told: "1 pipeline" };
  }
  // What a server has measured on this machine holds here too.
  const kept = isOpen ? (await withKeptTrial(configuration)).options : options;
  const { pipelines, threads, realtimePipelines, bulkPipelines } = kept;
  const all = pipelines + realtimePipelines + bulkPipelines;
  const told = all === 1 ? "1 pipeline" : `${all} pipelines`;
  return { layout: isOpen ? { pipelines, threads } : {}, told };
}

interface FoundModel {
  readonly name: string;
  readonly folder: string;
  /** Whether nothing beside that folder is needed. */
  readonly isNarrow: boolean;
}

/** Null where it must be asked for by its name, and cannot be told from here. */
async function modelFor(
  modelsDir: string,
  task: string,
  named: string | undefined,
): Promise<FoundModel | null> {
  const places = await findModels(modelsDir);
  const read = await Promise.all(
    places.map(async (place) => {
      const model = await readModel(place).catch(() => null);
      return model === null ? [] : [{ place, ...model }];
    }),
  );
  // What is broken is told when the folder is opened.
  const all = read.flat();
  const able = all.filter(({ manifest }) => manifest.task === task);
  if (able.length === 0 && all.length === places.length) throw none(modelsDir, task, all);
  const meant = named === undefined ? able : able.filter(({ manifest }) => manifest.name === named);
  const [only, ...others] = meant;
  if (only === undefined || others.length > 0) return null;
  const { place, manifest } = only;
  const isVersion = manifest.name.includes("@");
  const folder = place.endsWith(".json") ? dirname(place) : place;
  return { name: manifest.name, folder, isNarrow: !isVersion };
}

function none(modelsDir: string, task: string, all: readonly ReadModel[]): MillraceError {
  const tasks = [...new Set(all.map(({ manifest }) => manifest.task))].join(", ");
  const others = tasks === "" ? "no model" : `models to ${tasks} only`;
  const advice = [
    "`millrace models pull ORG/NAME` fetches one from a hub, `millrace convert NAME --out models/NAME` makes a model of it,",
    `and \`millrace ${task} … --models models\` has it then.`,
  ].join("\n");
  return new AdvisedError("model_not_found", `${modelsDir} has ${others}, none to ${task}`, advice);
}
