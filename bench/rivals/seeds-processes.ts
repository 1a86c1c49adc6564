/**
 * `npm run bench -- seeds-processes`: the seeds' baseline, long-lived processes that nobody schedules, beside Millrace's server, with the same
 * kernels. All callers come at once, each with its sentences, and each waits for its own; what counts is when the last of them has them, and
 * how long they waited.
 */
import { existsSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { readGeneration } from "../../test/support/read-generation.js";
import { beginReport } from "../harness/begin-report.js";
import { atLeast, type Report, ratios } from "../harness/report.js";
import { hashOf } from "../machine.js";
import { quantiles } from "../quantiles.js";
import { type ResidentServer, startEngine, startServer } from "./residents.js";
import { linesOf, type SentenceSet, sentenceSet } from "./sentences.js";
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
  model: { type: "string", default: "models/en-zh" },
  sentences: { type: "string" },
  callers: { type: "string", default: "16,32,64,128" },
  each: { type: "string", default: "8" },
  processes: { type: "string", default: "8" },
  beams: { type: "string" },
  rounds: { type: "string", default: "3" },
  json: { type: "string" },
  help: { type: "boolean", default: false },
} as const;

type Flags = ReturnType<typeof parseArgs<{ options: typeof flags }>>["values"];

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: flags });
  if (values.help) return console.log(usage);
  const { report, machine } = beginReport();
  const dir = await mkdtemp(join(tmpdir(), "millrace-bench-"));
  try {
    await compare({ report, values, dir });
  } finally {
    await rm(dir, { recursive: true, force: true });
    if (values.json !== undefined) await writeFile(values.json, report.json(machine));
  }
}

interface Comparison {
  readonly report: Report;
  readonly values: Flags;
  readonly dir: string;
}

async function compare(comparison: Comparison): Promise<void> {
  const { report, values, dir } = comparison;
  const modelDir = resolve(values.model);
  const { files, generation, precision } = await readGeneration(modelDir);
  const usual = "../shared/data/sentences/data_4k.txt";
  const file = values.sentences ?? (existsSync(usual) ? usual : "models/calibration.en.txt");
  const [each = 1, processes = 1] = [values.each, values.processes].map(Number);
  const callers = values.callers.split(",").map(Number);
  const from = { name: "all", from: file, texts: linesOf(file) };
  const count = each * Math.max(...callers);
  const set = sentenceSet(dir, from, { tokenizerFile: join(modelDir, files.tokenizer), count });
  const beams = Number(values.beams ?? generation.beams);
  report.say(
    `${precision}, ${each} sentences a caller of ${file}, ${beams} beams; ${processes} processes without a scheduler; Millrace: two pipelines of one thread`,
  );
  const spec = { modelDir, rowsMax: each * beams, cacheDir: dir };
  await using baseline = await Unscheduled.start(spec, processes);
  const pair = { models: modelDir, pipelines: 2, threads: 1, cacheDir: dir };
  await using server = await startServer(pair, set.idsFile);
  for (const wanted of callers) {
    await compareCallers(comparison, { baseline, server, set, callers: wanted, each, beams });
  }
  const most = Math.max(...callers);
  await measureBatches(comparison, { modelDir, set, callers: most, each, beams });
}

/** Rows of a pipeline where no option says another number. */
const usualRows = 64;

/**
 * One engine on one thread: callers one after the other, and all of them at once. That is what packing can bring where a core is busy with
 * either, and no more than that can be seen above: what a server costs is not in it.
 */
async function measureBatches(
  { report, values, dir }: Comparison,
  { modelDir, set, callers, each, beams }: Omit<Callers, "baseline" | "server"> & EngineFolder,
): Promise<void> {
  const usual = { modelDir, cacheDir: dir, threads: 1, idsFile: set.idsFile };
  await using small = await startEngine({ ...usual, rowsMax: each * beams });
  await using large = await startEngine({ ...usual, rowsMax: usualRows });
  const done = { small: [] as number[], large: [] as number[] };
  for (let round = 0; round <= Number(values.rounds); round += 1) {
    let seconds = 0;
    for (let caller = 0; caller < callers; caller += 1) {
      const tokenIds = set.ids.slice(caller * each, (caller + 1) * each);
      seconds += (await small.translate({ mode: "all", beams, count: each, tokenIds })).seconds;
    }
    const all = await large.translate({ mode: "all", beams, count: callers * each });
    // The first is for warmth.
    if (round === 0) continue;
    done.small.push(seconds);
    done.large.push(all.seconds);
  }
  const title = `one engine, one thread, ${callers} callers`;
  report.add(`${title}: one after the other`, done.small, { unit: "s" });
  report.add(`${title}: all at once`, done.large, { unit: "s" });
  report.add(`${title}: what packing brings`, ratios(done.small, done.large));
}

interface EngineFolder {
  readonly modelDir: string;
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
  readonly hash: string;
}

async function compareCallers({ report, values }: Comparison, at: Callers): Promise<void> {
  const { callers } = at;
  const ways = { baseline: () => askProcesses(at), millrace: () => askServer(at) };
  const done = { baseline: [] as Outcome[], millrace: [] as Outcome[] };
  for (let round = 0; round <= Number(values.rounds); round += 1) {
    for (const name of ["baseline", "millrace"] as const) {
      const outcome = await ways[name]();
      // The first is for warmth.
      if (round > 0) done[name].push(outcome);
    }
  }
  const hashes = new Set([...done.baseline, ...done.millrace].map(({ hash }) => hash));
  if (hashes.size !== 1) throw new Error(`other outputs: ${[...hashes].join(", ")}`);
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
  report.say(`${title}: outputs ${[...hashes].join("")}`);
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
    hash: hashOf(results.flatMap(({ outputs }) => outputs)),
  };
}

/** Over HTTP: what a protocol costs is Millrace's, and the processes have none. */
async function askServer({ server, set, callers, each, beams }: Callers): Promise<Outcome> {
  const turn = { mode: "all", beams, count: callers * each } as const;
  const result = await server.translateOverHttp(turn, { texts: set.texts, callers, each });
  return { seconds: result.seconds, waitsMs: result.endsMs, hash: hashOf(result.outputs) };
}
