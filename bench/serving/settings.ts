/** READ FIRST of this folder. What the serving experiments have in common on their command lines, and what becomes of it. */
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { readGeneration } from "../../test/support/read-generation.js";
import { beginReport } from "../harness/begin-report.js";
import { describeModel } from "../harness/describe-model.js";
import { finish } from "../harness/finish.js";
import { amountOf, countOf, usual } from "../harness/flags.js";
import type { Machine } from "../harness/machine.js";
import { OutputBook } from "../harness/output-book.js";
import type { Report } from "../harness/report.js";
import { type Layout, readLayout } from "./layouts.js";
import { root } from "./lines.js";
import type { CallFields } from "./wave.js";

const modelUsage =
  "  --model DIR       Millrace folder of a translation model (default: models/en-zh)";

const measuredUsage = `  --beams N         hypotheses of the search; the seeds had 3 (default: 1)
  --max-length N    of an output, in tokens (default: the model's)
  --warm SECONDS    of work for each variant before anything is measured, at least (default: 4)
  --rounds N        in which the variants take turns (default: %r)
  --json FILE       figures, latency histograms and plots as JSON
  --plot DIR        the plots as SVG`;

const commonUsage = `${modelUsage}
  --layouts LIST    pipelines, with commas between: 2 = two that serve both classes, 1+1 = one realtime and one bulk (default: %s)
  --threads N       of each pipeline (default: the cores, divided among a layout's pipelines)
  --policies LIST   of millrace, fcfs, seed-router (default: millrace)
${measuredUsage}`;

/** Of an experiment that has its own say of what is compared. */
export const runFlags = {
  model: { type: "string", default: join(root, "models", "en-zh") },
  beams: usual.beams,
  "max-length": { type: "string" },
  warm: { type: "string", default: "4" },
  rounds: { type: "string" },
  json: usual.json,
  plot: { type: "string" },
  help: usual.help,
} as const;

export const commonFlags = {
  ...runFlags,
  layouts: { type: "string" },
  threads: { type: "string" },
  policies: { type: "string", default: "millrace" },
} as const;

/** The values of `commonFlags`. */
export interface CommonValues extends RunValues {
  readonly layouts?: string | undefined;
  readonly threads?: string | undefined;
  readonly policies: string;
}

/** The values of `runFlags`. */
export interface RunValues {
  readonly model: string;
  readonly beams: string;
  readonly "max-length"?: string | undefined;
  readonly warm: string;
  readonly rounds?: string | undefined;
  readonly json?: string | undefined;
  readonly plot?: string | undefined;
}

/** What is measured beside others: a server of its own. */
export interface Variant {
  readonly layout: Layout;
  readonly policy: string;
  readonly name: string;
}

export interface Experiment extends Run {
  readonly variants: readonly Variant[];
  readonly threads: number | undefined;
}

/** An experiment, whatever it compares. */
export interface Run {
  readonly report: Report;
  readonly modelDir: string;
  readonly rounds: number;
  /** Of work for each variant, before anything is measured. */
  readonly warmMs: number;
  readonly fields: CallFields;
  readonly outputs: OutputBook;
  /** Under the title of each plot. */
  readonly plotNote: string;
  readonly jsonFile: string | undefined;
  readonly plotDir: string | undefined;
  /** For the JSON, beside what was measured. */
  readonly machine: Machine;
  readonly facts: Readonly<Record<string, unknown>>;
}

interface Defaults {
  /** Of the experiment. */
  readonly name: string;
  readonly layouts: string;
  readonly rounds: number;
}

/** In the place of `%common`: the flags that the experiments with layouts and policies share. */
export function usageOf(own: string, { layouts, rounds }: Omit<Defaults, "name">): string {
  return own.replace("%common", commonUsage.replace("%s", layouts).replace("%r", String(rounds)));
}

/** In the place of `%run`: `runFlags`. */
export function runUsageOf(own: string, rounds: number): string {
  return own.replace("%run", `${modelUsage}\n${measuredUsage}`.replace("%r", String(rounds)));
}

/** As `openRun`, of what the experiments with layouts and policies compare. */
export async function openExperiment(
  values: CommonValues,
  own: Readonly<Record<string, unknown>>,
  { layouts, ...defaults }: Defaults,
): Promise<Experiment> {
  const policies = values.policies.split(",");
  const variants = (values.layouts ?? layouts).split(",").flatMap((text) => {
    const layout = readLayout(text);
    return policies.map((policy) => ({
      layout,
      policy,
      name: policies.length === 1 ? layout.name : `${layout.name}, ${policy}`,
    }));
  });
  const compared = {
    layouts: variants.map((variant) => variant.name),
    policies,
    threads: values.threads ?? "cores divided among the pipelines",
  };
  const run = await openRun(values, { ...own, ...compared }, defaults);
  return { ...run, variants, threads: threadsOption(values.threads) };
}

/** Of each pipeline; undefined: as many as a layout leaves. */
export function threadsOption(text: string | undefined): number | undefined {
  return text === undefined ? undefined : countOf("threads", text);
}

/** Prints what will be measured, on what. `own`: the experiment's settings, by their flags. */
export async function openRun(
  values: RunValues,
  own: Readonly<Record<string, unknown>>,
  { name, rounds }: Omit<Defaults, "layouts">,
): Promise<Run> {
  const modelDir = resolve(values.model);
  const manifest = await readGeneration(modelDir);
  const beams = countOf("beams", values.beams);
  const maxLength = countOf(
    "max-length",
    values["max-length"] ?? String(manifest.generation.maxLength),
  );
  const settings = {
    ...own,
    beams,
    maxLength,
    // None: only what comes before them.
    rounds: countOf("rounds", values.rounds ?? String(rounds), 0),
  };
  const model = describeModel(manifest);
  const { report, machine } = beginReport(name);
  report.say(`model: ${model}`);
  report.say(`settings: ${JSON.stringify(settings)}`);
  report.say("load: open loop, latency from when a request was due; medians (least–most)");
  report.say("nothing is cached or deduplicated: a sentence that comes again is computed again");
  return {
    report,
    modelDir,
    rounds: settings.rounds,
    warmMs: 1_000 * amountOf("warm", values.warm),
    fields: {
      beams,
      ...(values["max-length"] === undefined ? {} : { maxLength }),
      split: false,
    },
    outputs: new OutputBook(),
    plotNote: `${manifest.name} ${manifest.precision}, ${beams === 1 ? "greedy" : `${beams} beams`}; ${machine.processor}, ${machine.cores} cores; commit ${machine.commit}`,
    jsonFile: values.json,
    plotDir: values.plot,
    machine,
    facts: { name, model, settings },
  };
}

/** Says that all outputs were equal, and writes what was asked for. */
export async function endExperiment({ report, outputs, ...experiment }: Run): Promise<void> {
  const { machine, facts, jsonFile, plotDir } = experiment;
  report.say(
    `\noutputs: ${outputs.inputs} different sentences, equal in all variants: ${outputs.hash}`,
  );
  const all = { ...facts, outputs: outputs.hash };
  await finish(report, { machine, facts: all, jsonFile, plotDir });
}

/** As many pipelines as cores. */
export function ownLayout(): string {
  return String(availableParallelism());
}
