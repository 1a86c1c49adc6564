/**
 * `npm run bench -- seeds-experiments`: the seeds' experiments `real` and `mix`, finished by Millrace and by the seeds' way of decoding. The
 * rival is asked in its own process and always has work; Millrace is asked over HTTP by callers who come when they are due.
 */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readGeneration } from "../../../test/support/read-generation.js";
import { TempDir } from "../../../test/support/temp-dir.js";
import { beginReport } from "../../harness/begin-report.js";
import { describeModel } from "../../harness/describe-model.js";
import { finish } from "../../harness/finish.js";
import { amountOf, countOf, countsOf, usual } from "../../harness/flags.js";
import { OutputBook } from "../../harness/output-book.js";
import { atLeast, type Report, ratios } from "../../harness/report.js";
import { inTurns } from "../../harness/rounds.js";
import { searchTitle } from "../../harness/search-title.js";
import { readLines, takeLines } from "../../serving/lines.js";
import { type Call, runWave } from "../../serving/wave.js";
import { type SentenceSet, sentenceSet } from "../sentences.js";
import { modelFlags, modelsOf, modelsUsage } from "./models.js";
import { type Hashes, type Name, names } from "./searches.js";
import { type Sides, startSides } from "./sides.js";

const usage = `npm run bench -- seeds-experiments [flags]
Seconds until the last caller has its answer, medians (least–most) of rounds in which both take turns: the whole prefix recomputed at every
step (see seeds-decoder), batches in order of arrival, and Millrace's two pipelines over HTTP. In real all callers come at once; in mix a
few with many sentences come first.
${modelsUsage}
  --sentences FILE   one a line (default: the seeds' data_1k.txt where it lies beside the checkout, else models/calibration.en.txt)
  --callers LIST     of real, and of mix after the first (default: 16)
  --items N          sentences of each of them (default: 8)
  --bulk-callers N   who come first in mix (default: 4)
  --bulk-items N     sentences of each of those; 0: no mix (default: 100, a tenth of the seeds')
  --after MS         between the first and those after them (default: 500)
  --batch N          sentences of a batch of the rival (default: 16)
  --rows N           of each of Millrace's pipelines, --rows-max of the server, whose own is 64 (default: 192, of 64 sentences with 3 beams)
  --beams LIST       (default: 1)
  --rounds N         (default: 2)
  --json FILE        the figures as JSON
Examples:
  npm run bench -- seeds-experiments --source ../shared/models/en-zh --int8 models/en-zh
  npm run bench -- seeds-experiments --callers 4 --bulk-items 8 --rounds 1      (the seeds' size: minutes)`;

const flags = {
  ...modelFlags,
  sentences: usual.seedSentences,
  callers: { type: "string", default: "16" },
  items: { type: "string", default: "8" },
  "bulk-callers": { type: "string", default: "4" },
  "bulk-items": { type: "string", default: "100" },
  after: { type: "string", default: "500" },
  batch: { type: "string", default: "16" },
  rows: { type: "string", default: "192" },
  beams: usual.beams,
  rounds: { type: "string", default: "2" },
  json: usual.json,
  help: usual.help,
} as const;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: flags });
  if (values.help) return console.log(usage);
  const settings: Settings = {
    callers: countsOf("callers", values.callers),
    items: countOf("items", values.items),
    bulkCallers: countOf("bulk-callers", values["bulk-callers"]),
    bulkItems: countOf("bulk-items", values["bulk-items"], 0),
    afterMs: amountOf("after", values.after),
    batch: countOf("batch", values.batch),
    rowsMax: countOf("rows", values.rows),
    beams: countsOf("beams", values.beams),
    rounds: countOf("rounds", values.rounds),
  };
  const { report, machine } = beginReport();
  const lines = readLines(values.sentences);
  await using temp = await TempDir.make();
  const dir = temp.path;
  const models = await modelsOf(values, dir);
  const manifest = await readGeneration(models.int8);
  const experiments = experimentsOf(settings, lines);
  const texts = experiments.flatMap(({ first, later }) => textsOf([...first, ...later]));
  const tokenizerFile = join(models.int8, manifest.files.tokenizer);
  const from = { name: "all", from: "", texts };
  const set = sentenceSet(dir, from, { tokenizerFile, count: texts.length });
  const model = describeModel(manifest);
  report.say(
    `${model}, outputs of at most ${manifest.generation.maxLength - 1} tokens; the rival: batches of ${settings.batch}, float32, all cores; Millrace: two pipelines`,
  );
  const { batch, rowsMax } = settings;
  await using sides = await startSides({ models, dir, idsFile: set.idsFile, batch, rowsMax });
  const outputs: Record<string, Hashes> = {};
  for (const beams of settings.beams) {
    const of = { report, rounds: settings.rounds, sides, set, experiments, beams };
    outputs[searchTitle(beams)] = await compareBeams(of);
  }
  const facts = { settings: { ...values, ...settings }, model, outputs };
  await finish(report, { machine, facts, jsonFile: values.json });
}

interface Settings {
  readonly callers: readonly number[];
  readonly items: number;
  readonly bulkCallers: number;
  /** 0: no mix. */
  readonly bulkItems: number;
  readonly afterMs: number;
  readonly batch: number;
  /** Of each of Millrace's pipelines. */
  readonly rowsMax: number;
  readonly beams: readonly number[];
  readonly rounds: number;
}

/** The claim of ParaTra, the paper that grew from ECTrans: "up to 8.4x" (cfl2005/ECTransformer, README). */
const paperTimes = 8.4;

interface Experiment {
  readonly title: string;
  /** Empty in real. */
  readonly first: readonly Call[];
  readonly later: readonly Call[];
}

function experimentsOf(settings: Settings, lines: readonly string[]): readonly Experiment[] {
  const { callers, items, bulkCallers, bulkItems, afterMs } = settings;
  const first = callsOf(lines, { callers: bulkCallers, items: bulkItems, dueMs: 0, class: "bulk" });
  const later = (count: number, dueMs: number) => callsOf(lines, { callers: count, items, dueMs });
  return [
    ...callers.map((count) => ({
      title: `real, ${count} × ${items}`,
      first: [],
      later: later(count, 0),
    })),
    ...(bulkItems === 0 ? [] : callers).map((count) => ({
      title: `mix, ${bulkCallers} × ${bulkItems}, then ${count} × ${items}`,
      first,
      later: later(count, afterMs),
    })),
  ];
}

interface Callers {
  readonly callers: number;
  /** Sentences of each. */
  readonly items: number;
  readonly dueMs: number;
  readonly class?: "bulk";
}

function callsOf(
  lines: readonly string[],
  { callers, items, dueMs, ...fields }: Callers,
): readonly Call[] {
  return Array.from({ length: callers }, (_, at) => ({
    dueMs,
    texts: takeLines(lines, at * items, items),
    fields: { beams: 1, split: false, ...fields },
  }));
}

function textsOf(calls: readonly Call[]): readonly string[] {
  return calls.flatMap(({ texts }) => texts);
}

interface Comparison {
  readonly report: Report;
  readonly rounds: number;
  readonly sides: Sides;
  readonly set: SentenceSet;
  readonly experiments: readonly Experiment[];
  readonly beams: number;
}

/** Throws where the rival and Millrace in float32 do not say the same. */
async function compareBeams(comparison: Comparison): Promise<Hashes> {
  const { report, rounds, sides, experiments, beams } = comparison;
  const books = { f32: new OutputBook(), int8: new OutputBook() };
  const ask = async (experiment: Experiment, name: Name): Promise<number> => {
    if (name === "seeds") return await askSeeds(comparison, experiment, books.f32);
    const calls = [...experiment.first, ...experiment.later].map((call) => ({
      ...call,
      fields: { ...call.fields, beams },
    }));
    const { url } = sides[name].ready;
    const { totalMs } = await runWave({ url, name, calls, outputs: books[name] });
    return totalMs / 1_000;
  };
  for (const experiment of experiments) {
    const title = `${searchTitle(beams)}, ${experiment.title}`;
    const [warm] = experiment.later;
    if (warm !== undefined) {
      for (const name of names) await ask({ title, first: [], later: [warm] }, name);
    }
    const done = await inTurns(names, rounds, (name) => ask(experiment, name));
    const of = (name: Name) => done.get(name) ?? [];
    report.add(`${title}: the seeds' way, float32`, of("seeds"), { unit: "s" });
    report.add(`${title}: Millrace int8`, of("int8"), { unit: "s" });
    report.add(`${title}: Millrace float32`, of("f32"), { unit: "s" });
    const target = atLeast(paperTimes);
    report.add(`${title}: times as fast in int8`, ratios(of("seeds"), of("int8")), { target });
    report.add(`${title}: times as fast in float32`, ratios(of("seeds"), of("f32")));
  }
  const hashes = { f32: books.f32.hash, int8: books.int8.hash };
  report.say(
    `outputs of ${books.f32.inputs} different sentences: the seeds' way and Millrace in float32 ${hashes.f32}, int8 ${hashes.int8}`,
  );
  return hashes;
}

/** Throws where the set has no such text: nothing would be translated, and counted. */
function idsOf({ texts, ids }: SentenceSet, text: string): readonly number[] {
  const found = ids[texts.indexOf(text)];
  if (found === undefined) throw new Error(`no ids of ${JSON.stringify(text.slice(0, 80))}`);
  return found;
}

/** Seconds from the first arrival on. It never waits for a caller while another's sentences are there. */
async function askSeeds(
  { sides, set, beams }: Comparison,
  { first, later }: Experiment,
  book: OutputBook,
): Promise<number> {
  const seconds = async (calls: readonly Call[]): Promise<number> => {
    const texts = textsOf(calls);
    if (texts.length === 0) return 0;
    const tokenIds = texts.map((text) => idsOf(set, text));
    const turn = { mode: "all", beams, count: texts.length, tokenIds } as const;
    const result = await sides.seeds.translate(turn);
    book.add("the seeds' way", texts, result.outputs);
    return result.seconds;
  };
  const laterDue = (later[0]?.dueMs ?? 0) / 1_000;
  return Math.max(await seconds(first), laterDue) + (await seconds(later));
}
