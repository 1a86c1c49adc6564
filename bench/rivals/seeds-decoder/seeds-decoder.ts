/**
 * `npm run bench -- seeds-decoder`: Millrace beside the seeds' way of decoding, made as well as its authors could. Both translate the same
 * sentences with the same weights, in turns. The rival has all cores in float32, Millrace two pipelines.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { readGeneration } from "../../../test/support/read-generation.js";
import { TempDir } from "../../../test/support/temp-dir.js";
import { beginReport } from "../../harness/begin-report.js";
import { describeModel } from "../../harness/describe-model.js";
import { finish } from "../../harness/finish.js";
import { countOf, countsOf, usual } from "../../harness/flags.js";
import { OutputBook } from "../../harness/output-book.js";
import { atLeast, type Report, ratios } from "../../harness/report.js";
import { inTurns } from "../../harness/rounds.js";
import { searchTitle } from "../../harness/search-title.js";
import { readLines, usualFile } from "../../serving/lines.js";
import { type SentenceSet, sentenceSet } from "../sentences.js";
import type { Turn, TurnResult } from "../turn.js";
import { type Models, modelFlags, modelsOf, modelsUsage } from "./models.js";
import { type Hashes, type Name, names } from "./searches.js";
import type { SeedsResult } from "./seeds-child.js";
import { type Sides, type SidesSpec, startSeeds, startSides } from "./sides.js";

const usage = `npm run bench -- seeds-decoder [flags]
Milliseconds a sentence, medians (least–most) of rounds in which both take turns: the whole prefix recomputed at every step, beams as rows,
a batch waits for its slowest (encoder output cached, logits of the last position only, float32, all cores), and Millrace's two pipelines.
${modelsUsage}
  --sentences FILE   one a line (default: ../shared/data/sentences/data_4k.txt, else models/calibration.en.txt)
  --count N          sentences a turn (default: 32)
  --batch N          sentences of a batch of the rival (default: 16)
  --rows N           of each of Millrace's pipelines, --rows-max of the server, whose own is 64 (default: 192, of 64 sentences with 3 beams)
  --beams LIST       (default: 1 and the model's own)
  --rounds N         (default: 3)
  --profile N        sentences of the profile of the rival's operators; 0: none (default: 16)
  --json FILE        the figures as JSON
Examples:
  npm run bench -- seeds-decoder
  npm run bench -- seeds-decoder --source ../shared/models/en-zh --int8 models/en-zh --count 64`;

const flags = {
  ...modelFlags,
  sentences: usual.seedSentences,
  count: { type: "string", default: "32" },
  batch: { type: "string", default: "16" },
  rows: { type: "string", default: "192" },
  beams: { type: "string" },
  rounds: usual.fewRounds,
  profile: { type: "string", default: "16" },
  json: usual.json,
  help: usual.help,
} as const;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: flags });
  if (values.help) return console.log(usage);
  const { report, machine } = beginReport();
  const count = countOf("count", values.count);
  const sizes = {
    count,
    batch: countOf("batch", values.batch),
    rowsMax: countOf("rows", values.rows),
    rounds: countOf("rounds", values.rounds),
    profiled: Math.min(count, countOf("profile", values.profile, 0)),
  };
  await using temp = await TempDir.make();
  const dir = temp.path;
  const models = await modelsOf(values, dir);
  const manifest = await readGeneration(models.int8);
  const { files, generation } = manifest;
  const usual = [...new Set([1, generation.beams])].join(",");
  const beams = countsOf("beams", values.beams ?? usual);
  const file = values.sentences ?? usualFile("data_4k");
  const tokenizerFile = join(models.int8, files.tokenizer);
  const from = { name: "all", from: file, texts: readLines(file) };
  const set = sentenceSet(dir, from, { tokenizerFile, count });
  const model = describeModel(manifest);
  report.say(
    `${count} sentences of ${file}; ${model}, outputs of at most ${generation.maxLength - 1} tokens; the rival's batches: ${sizes.batch}, float32, all cores`,
  );
  const outputs = await compare({ report, sizes, dir, models, set, beams });
  const settings = { ...values, ...sizes, beams, file };
  await finish(report, { machine, facts: { settings, model, outputs }, jsonFile: values.json });
}

interface Comparison {
  readonly report: Report;
  readonly sizes: {
    /** Sentences a turn, of a batch of the rival, and of the profile; 0: none is made. */
    readonly count: number;
    readonly batch: number;
    /** Of each of Millrace's pipelines. */
    readonly rowsMax: number;
    readonly profiled: number;
    readonly rounds: number;
  };
  readonly dir: string;
  readonly models: Models;
  readonly set: SentenceSet;
  readonly beams: readonly number[];
}

/** Hashes of the outputs, by the title of the search. */
async function compare(comparison: Comparison): Promise<Readonly<Record<string, Hashes>>> {
  const { sizes, beams } = comparison;
  const hashes: Record<string, Hashes> = {};
  await using sides = await startSides(sidesSpecOf(comparison));
  for (const each of beams) hashes[searchTitle(each)] = await compareBeams(comparison, sides, each);
  if (sizes.profiled > 0) await profile(comparison, Math.max(...beams));
  return hashes;
}

function sidesSpecOf({ sizes, models, set, dir }: Comparison): SidesSpec {
  return { models, dir, idsFile: set.idsFile, batch: sizes.batch, rowsMax: sizes.rowsMax };
}

/** Throws where a round has other outputs than another one of its precision, or another number of tokens. */
async function compareBeams(
  { report, sizes, set }: Comparison,
  sides: Sides,
  beams: number,
): Promise<Hashes> {
  const title = searchTitle(beams);
  const turn: Turn = { mode: "all", beams, count: sizes.count };
  for (const name of names)
    await sides[name].translate({ ...turn, count: Math.min(4, turn.count) });
  const books = { f32: new OutputBook(), int8: new OutputBook() };
  const turns = await inTurns(names, sizes.rounds, async (name) => {
    const result = await sides[name].translate(turn);
    const book = name === "int8" ? books.int8 : books.f32;
    book.add(`${title}, ${name}`, set.texts, result.outputs);
    return result;
  });
  const done = (name: Name): readonly TurnResult[] => turns.get(name) ?? [];
  const ms = (name: Name) =>
    done(name).map(({ seconds, sentences }) => (1_000 * seconds) / sentences);
  report.add(`${title}: the seeds' way, float32`, ms("seeds"), { unit: "ms/sentence" });
  report.add(`${title}: Millrace int8, two pipelines`, ms("int8"), { unit: "ms/sentence" });
  report.add(`${title}: Millrace float32, two pipelines`, ms("f32"), { unit: "ms/sentence" });
  const wanted = beams === 1 ? {} : { target: atLeast(25) };
  report.add(`${title}: times as fast in int8`, ratios(ms("seeds"), ms("int8")), wanted);
  report.add(`${title}: times as fast in float32`, ratios(ms("seeds"), ms("f32")));
  const hashes = { f32: books.f32.hash, int8: books.int8.hash };
  const tokens = tokensOf(title, [...done("seeds"), ...done("f32")]) / sizes.count;
  report.say(
    `${title}: outputs ${hashes.f32} in float32, equal on both sides, ${hashes.int8} in int8, in all rounds; ${tokens.toFixed(1)} tokens each`,
  );
  return hashes;
}

/** Equal texts may be of other tokens. */
function tokensOf(title: string, results: readonly TurnResult[]): number {
  const counts = new Set(results.map(({ tokens }) => tokens));
  const [tokens = 0] = counts;
  if (counts.size !== 1)
    throw new Error(`${title}: outputs of ${[...counts].join(" and ")} tokens in float32`);
  return tokens;
}

/** In a process of its own: what is watched is slower. */
async function profile(comparison: Comparison, beams: number): Promise<void> {
  const { report, sizes, dir } = comparison;
  const profileDir = join(dir, "profile");
  await mkdir(profileDir);
  await using seeds = await startSeeds(sidesSpecOf(comparison), profileDir);
  const count = sizes.profiled;
  const result = (await seeds.translate({ mode: "all", beams, count })) as SeedsResult;
  const all = result.operators.reduce((sum, { ms }) => sum + ms, 0);
  report.say(
    `profile of the seeds' way, ${beams} beams, ${count} sentences: ${all.toFixed(0)} ms in operators, ${(1_000 * result.seconds).toFixed(0)} ms in all`,
  );
  for (const { operator, ms, calls } of result.operators.slice(0, 12)) {
    const share = ((100 * ms) / all).toFixed(1).padStart(5);
    report.say(
      `  ${operator.padEnd(24)} ${share} %  ${ms.toFixed(0).padStart(7)} ms  ${calls} runs`,
    );
  }
}
