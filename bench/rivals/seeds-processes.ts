/**
 * `npm run bench -- seeds-processes`: the seeds' baseline, long-lived processes that nobody schedules, beside Millrace's server, with the same
 * kernels. All callers come at once, each with its sentences, and each waits for its own; what counts is when the last of them has them, and
 * how long they waited.
 */
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { generationEngineDefaults } from "#src/runtime/generation/generation-engine.js";
import { readGeneration } from "../../test/support/read-generation.js";
import { TempDir } from "../../test/support/temp-dir.js";
import { beginReport } from "../harness/begin-report.js";
import { describeModel } from "../harness/describe-model.js";
import { finish } from "../harness/finish.js";
import { countOf, countsOf, usual } from "../harness/flags.js";
import { OutputBook } from "../harness/output-book.js";
import { quantiles } from "../harness/quantiles.js";
import { atLeast, type Report, ratios } from "../harness/report.js";
import { inTurns } from "../harness/rounds.js";
import { readLines, usualFile } from "../serving/lines.js";
import { pairOf, type ResidentServer, startEngine, startServer } from "./residents.js";
import { type SentenceSet, sentenceSet } from "./sentences.js";
import type { Translator } from "./turn.js";
import { Unscheduled } from "./unscheduled.js";

const usage = `npm run bench -- seeds-processes [flags]
Callers with 8 sentences each, all at once: 8 processes of one thread that translate a caller's sentences each, and Millrace's two pipelines,
asked over HTTP; then one engine alone, callers one after the other and all at once, which is what packing can bring.
Seconds until the last caller has its own, and milliseconds that callers waited, medians (least–most) of rounds in which both take turns.
  --model DIR        Millrace folder (default: models/en-zh)
  --sentences FILE   one a line (default: ../shared/data/sentences/data_4k.txt, else models/calibration.en.txt)
  --callers LIST     (default: 16,32,64,128)
  --each N           sentences of a caller (default: 8)
  --processes N      of the baseline (default: 8)
  --beams N          (default: the model's)
  --rounds N         (default: 3)
  --json FILE        the figures as JSON
Examples:
  npm run bench -- seeds-processes
  npm run bench -- seeds-processes --model /tmp/base-int8 --callers 16`;

const flags = {
  model: usual.model,
  sentences: usual.seedSentences,
  callers: { type: "string", default: "16,32,64,128" },
  each: { type: "string", default: "8" },
  processes: { type: "string", default: "8" },
  beams: { type: "string" },
  rounds: usual.fewRounds,
  json: usual.json,
  help: usual.help,
} as const;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: flags });
  if (values.help) return console.log(usage);
  const { report, machine } = beginReport();
  const modelDir = resolve(values.model);
  const manifest = await readGeneration(modelDir);
  const settings: Settings = {
    modelDir,
    file: values.sentences ?? usualFile("data_4k"),
    callers: countsOf("callers", values.callers),
    each: countOf("each", values.each),
    processes: countOf("processes", values.processes),
    beams: countOf("beams", values.beams ?? String(manifest.generation.beams)),
    rounds: countOf("rounds", values.rounds),
  };
  const { file, each, beams, processes } = settings;
  const model = describeModel(manifest);
  report.say(
    `${model}; ${each} sentences a caller of ${file}, ${beams} beams; ${processes} processes without a scheduler; Millrace: two pipelines of one thread`,
  );
  const outputs = new OutputBook();
  await compare({ report, outputs, settings, tokenizer: manifest.files.tokenizer });
  const facts = { settings, model, outputs: outputs.hash };
  await finish(report, { machine, facts, jsonFile: values.json });
}

interface Settings {
  readonly modelDir: string;
  readonly file: string;
  readonly callers: readonly number[];
  /** Sentences of a caller. */
  readonly each: number;
  /** Of the baseline. */
  readonly processes: number;
  readonly beams: number;
  readonly rounds: number;
}

interface Comparison {
  readonly report: Report;
  readonly outputs: OutputBook;
  readonly settings: Settings;
  /** The model's file. */
  readonly tokenizer: string;
}

async function compare(comparison: Comparison): Promise<void> {
  const { settings, tokenizer } = comparison;
  const { modelDir, file, callers, each, processes, beams } = settings;
  await using dir = await TempDir.make();
  const from = { name: "all", from: file, texts: readLines(file) };
  const count = each * Math.max(...callers);
  const set = sentenceSet(dir.path, from, { tokenizerFile: join(modelDir, tokenizer), count });
  const spec = { modelDir, rowsMax: each * beams, cacheDir: dir.path };
  await using baseline = await Unscheduled.start(spec, processes);
  const pair = pairOf(dir.path);
  await using server = await startServer({ ...pair, models: modelDir }, set.idsFile);
  for (const wanted of callers) {
    await compareCallers(comparison, { baseline, server, set, callers: wanted, each, beams });
  }
  const most = Math.max(...callers);
  const usual = { modelDir, cacheDir: dir.path, threads: 1, idsFile: set.idsFile };
  await using small = await startEngine({ ...usual, rowsMax: each * beams });
  const { rowsMax } = generationEngineDefaults;
  await using large = await startEngine({ ...usual, rowsMax });
  await measureBatches(comparison, { small, large, set, callers: most });
}

interface Engines {
  /** Of the rows of one caller. */
  readonly small: Translator;
  readonly large: Translator;
  readonly set: SentenceSet;
  readonly callers: number;
}

/**
 * One engine on one thread: callers one after the other, and all of them at once. That is what packing can bring where a core is busy with
 * either, and no more than that can be seen above: what a server costs is not in it.
 */
async function measureBatches(
  { report, outputs, settings: { each, beams, rounds } }: Comparison,
  { small, large, set, callers }: Engines,
): Promise<void> {
  const oneByOne = async (): Promise<number> => {
    let seconds = 0;
    for (let caller = 0; caller < callers; caller += 1) {
      const [from, to] = [caller * each, (caller + 1) * each];
      const tokenIds = set.ids.slice(from, to);
      const result = await small.translate({ mode: "all", beams, count: each, tokenIds });
      outputs.add("one after the other", set.texts.slice(from, to), result.outputs);
      seconds += result.seconds;
    }
    return seconds;
  };
  const allAtOnce = async (): Promise<number> => {
    const count = callers * each;
    const result = await large.translate({ mode: "all", beams, count });
    outputs.add("all at once", set.texts.slice(0, count), result.outputs);
    return result.seconds;
  };
  const asked = { small: oneByOne, large: allAtOnce };
  const names = ["small", "large"] as const;
  for (const name of names) await asked[name]();
  const turns = await inTurns(names, rounds, (name) => asked[name]());
  const done = { small: turns.get("small") ?? [], large: turns.get("large") ?? [] };
  const title = `one engine, one thread, ${callers} callers`;
  report.add(`${title}: one after the other`, done.small, { unit: "s" });
  report.add(`${title}: all at once`, done.large, { unit: "s" });
  report.add(`${title}: what packing brings`, ratios(done.small, done.large));
}

interface Callers {
  readonly baseline: Unscheduled;
  readonly server: ResidentServer;
  readonly set: SentenceSet;
  readonly callers: number;
  readonly each: number;
  readonly beams: number;
}

interface Outcome {
  readonly seconds: number;
  /** Of each caller. */
  readonly waitsMs: readonly number[];
  /** Of all callers, in their order. */
  readonly outputs: readonly string[];
}

const ways = { baseline: askProcesses, millrace: askServer };
const wayNames = ["baseline", "millrace"] as const;

async function compareCallers(
  { report, outputs, settings }: Comparison,
  at: Callers,
): Promise<void> {
  const { callers, each, set } = at;
  const inputs = set.texts.slice(0, callers * each);
  const ask = async (name: (typeof wayNames)[number]): Promise<Outcome> => {
    const outcome = await ways[name](at);
    outputs.add(name, inputs, outcome.outputs);
    return outcome;
  };
  for (const name of wayNames) await ask(name);
  const turns = await inTurns(wayNames, settings.rounds, ask);
  const done = { baseline: turns.get("baseline") ?? [], millrace: turns.get("millrace") ?? [] };
  const seconds = (of: readonly Outcome[]) => of.map((each) => each.seconds);
  const title = `${callers} callers`;
  report.add(`${title}: processes that nobody schedules`, seconds(done.baseline), { unit: "s" });
  report.add(`${title}: Millrace`, seconds(done.millrace), { unit: "s" });
  report.add(`${title}: times as fast`, ratios(seconds(done.baseline), seconds(done.millrace)), {
    target: atLeast(2),
  });
  for (const quantile of ["p50Ms", "p99Ms"] as const) {
    const of = (outcomes: readonly Outcome[]) =>
      outcomes.map(({ waitsMs }) => quantiles(waitsMs)[quantile]);
    const name = quantile === "p50Ms" ? "median wait" : "p99 of waits";
    report.add(`${title}: ${name}, processes`, of(done.baseline), { unit: "ms" });
    report.add(`${title}: ${name}, Millrace`, of(done.millrace), { unit: "ms" });
  }
  report.say(`${title}: outputs ${outputs.hash}`);
}

async function askProcesses({ baseline, set, callers, each, beams }: Callers): Promise<Outcome> {
  const startedAtMs = performance.now();
  const results = await Promise.all(
    Array.from({ length: callers }, async (_, caller) => {
      const tokenIds = set.ids.slice(caller * each, (caller + 1) * each);
      const { outputs } = await baseline.translate({ tokenIds, beams });
      return { outputs, waitMs: performance.now() - startedAtMs };
    }),
  );
  return {
    seconds: (performance.now() - startedAtMs) / 1_000,
    waitsMs: results.map(({ waitMs }) => waitMs),
    outputs: results.flatMap(({ outputs }) => outputs),
  };
}

/** Over HTTP: what a protocol costs is Millrace's, and the processes have none. */
async function askServer({ server, set, callers, each, beams }: Callers): Promise<Outcome> {
  const turn = { mode: "all", beams, count: callers * each } as const;
  const result = await server.translateOverHttp(turn, { texts: set.texts, callers, each });
  return { seconds: result.seconds, waitsMs: result.endsMs, outputs: result.outputs };
}
