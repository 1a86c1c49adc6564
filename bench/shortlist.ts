/**
 * `npm run bench -- shortlist`: what a vocabulary shortlist gains and what it costs. One model with all of its output and with shortlists of
 * one text, over sentences that people have translated, too.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { convert, type ShortlistChoice } from "#src/convert/convert.js";
import type { GenerationManifest } from "#src/models/manifest-generation.js";
import type { TextTokenizer } from "#src/prepare/text/text-tokenizer.js";
import type { GenerationModel } from "#src/runtime/generation/generation-model.js";
import { charBleu } from "../test/support/char-bleu.js";
import { readGeneration } from "../test/support/read-generation.js";
import { readReference } from "../test/support/reference.js";
import { TempDir } from "../test/support/temp-dir.js";
import { perToken } from "./engine/drivers.js";
import { openModel } from "./engine-floor/profiled-model.js";
import { beginReport } from "./harness/begin-report.js";
import { describeModel } from "./harness/describe-model.js";
import { finish } from "./harness/finish.js";
import { countOf, countsOf, usual } from "./harness/flags.js";
import { hashOf } from "./harness/machine.js";
import { type Cell, type Report, ratios } from "./harness/report.js";
import { inTurns } from "./harness/rounds.js";
import { openTokenizer } from "./rivals/tokenizer.js";

const usage = `npm run bench -- shortlist --text FILE [flags]
Converts a model with all tokens of its output and with a shortlist for each count, and translates the same sentences with all of them, in turns.
Printed are the size, BLEU of characters against the human translations, how many texts stay what they were, and sentences a second of the engine
alone: medians (least–most) of rounds, and the median of the ratios inside a round.
  --text FILE          of the target language, a sentence a line: what --shortlist of convert gets
  --source DIR         Hugging Face folder (default: ../shared/models/en-zh)
  --pairs FILE         sentences, and behind a tab what people made of them (default: the 1,000 of ../shared/models/en-zh/reference.json)
  --count N            of these, the first ones (default: all)
  --min-counts LIST    times that a token must occur in the text (default: 1,10)
  --precision NAME     int8 or f32 (default: int8)
  --calibration FILE   for int8 (default: models/calibration.en.txt)
  --beams LIST         (default: 1,4)
  --rows N             of a step, beams included, as --rows-max of the server (default: 64)
  --threads N          of each run; 0: all cores (default: 1)
  --rounds N           (default: 5)
  --json FILE          the figures as JSON
Examples:
  cut -f2 ../shared/data/corpus/tatoeba.en-zh.tsv > zh.txt && npm run bench -- shortlist --text zh.txt
  npm run bench -- shortlist --text zh.txt --min-counts 1,5,50 --precision f32 --beams 1 --rounds 9 --json shortlist.json`;

const flags = {
  text: { type: "string" },
  source: usual.source,
  pairs: { type: "string" },
  count: { type: "string" },
  "min-counts": { type: "string", default: "1,10" },
  precision: { type: "string", default: "int8" },
  calibration: { type: "string", default: "models/calibration.en.txt" },
  beams: { type: "string", default: "1,4" },
  rows: usual.rows,
  threads: usual.threads,
  rounds: usual.rounds,
  json: usual.json,
  help: usual.help,
} as const;

type Flags = ReturnType<typeof parseArgs<{ options: typeof flags }>>["values"];

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: flags });
  if (values.help) return console.log(usage);
  const { text, precision } = values;
  if (text === undefined || (precision !== "int8" && precision !== "f32")) throw new Error(usage);
  const minCounts = countsOf("min-counts", values["min-counts"]);
  const beams = countsOf("beams", values.beams);
  for (const flag of ["rows", "rounds"] as const) countOf(flag, values[flag]);
  countOf("threads", values.threads, 0);
  const { report, machine } = beginReport();
  const pairs = await readPairs(values);
  report.say(
    `${values.source} in ${precision}, shortlists of ${text}: ${pairs.length} sentences, ${values.rows} rows a step, ${values.threads} threads, ${values.rounds} rounds`,
  );
  await using dir = await TempDir.make();
  const choices = [null, ...minCounts.map((minCount) => ({ file: text, minCount }))];
  const outputs: Record<string, readonly string[]> = {};
  const models: string[] = [];
  const sides: Side[] = [];
  try {
    for (const choice of choices) sides.push(await openSide(dir.path, values, choice));
    models.push(...sides.map(({ manifest }) => describeModel(manifest)));
    for (const each of beams) {
      outputs[`${each} beams`] = await compare({ report, values, pairs, sides, beams: each });
    }
  } finally {
    for (const { model } of sides) await model.release();
  }
  const facts = { settings: values, models, outputs };
  await finish(report, { machine, facts, jsonFile: values.json });
}

interface Pair {
  readonly source: string;
  readonly human: string;
}

async function readPairs({ pairs: file, count }: Flags): Promise<readonly Pair[]> {
  const all = file === undefined ? readReference() : pairsIn(await readFile(file, "utf8"));
  return all.slice(0, count === undefined ? all.length : countOf("count", count));
}

function pairsIn(text: string): Pair[] {
  const lines = text.split("\n").map((line) => line.trim().split("\t"));
  return lines.flatMap(([source, human]) =>
    source === undefined || human === undefined ? [] : [{ source, human }],
  );
}

/** The model with one choice of what it may generate. */
interface Side {
  readonly name: string;
  readonly manifest: GenerationManifest;
  readonly model: GenerationModel;
  readonly tokenizer: TextTokenizer;
}

async function openSide(
  dir: string,
  values: Flags,
  shortlist: ShortlistChoice | null,
): Promise<Side> {
  const name = shortlist === null ? "all tokens" : `min count ${shortlist.minCount}`;
  const modelDir = join(dir, name.replaceAll(" ", "-"));
  await convert({
    modelDir: values.source,
    outDir: modelDir,
    precision: values.precision === "f32" ? "f32" : "int8",
    calibrationFile: values.calibration,
    ...(shortlist === null ? {} : { shortlist }),
    force: false,
    onProgress: () => {},
    signal: new AbortController().signal,
  });
  const manifest = await readGeneration(modelDir);
  const tokenizer = await openTokenizer(modelDir, manifest);
  const model = await openModel({ modelDir, manifest, threads: Number(values.threads) });
  return { name, manifest, model, tokenizer };
}

interface Comparison {
  readonly report: Report;
  readonly values: Flags;
  readonly pairs: readonly Pair[];
  /** First the one with all tokens. */
  readonly sides: readonly Side[];
  readonly beams: number;
}

/** Hashes of the outputs, a side each. */
async function compare({
  report,
  values,
  pairs,
  sides,
  beams,
}: Comparison): Promise<readonly string[]> {
  const drive = perToken(Number(values.rows), beams);
  const outputs = new Map<Side, readonly (readonly number[])[]>();
  const ids = new Map(
    sides.map((side) => [side, pairs.map(({ source }) => side.tokenizer.encode(source))]),
  );
  for (const side of sides) outputs.set(side, await drive(side.model, ids.get(side) ?? []));
  const rates = await inTurns(sides, Number(values.rounds), async (side) => {
    const startedAtMs = performance.now();
    const found = await drive(side.model, ids.get(side) ?? []);
    const rate = (pairs.length / (performance.now() - startedAtMs)) * 1000;
    // In float32 a neighbour may change the last digit of a sum.
    if (values.precision === "int8" && hashOf(found) !== hashOf(outputs.get(side) ?? [])) {
      throw new Error(`${side.name}: a round gave other outputs than the one before`);
    }
    return rate;
  });
  const [whole] = sides;
  if (whole === undefined) return [];
  const textsOf = (side: Side) =>
    (outputs.get(side) ?? []).map((tokenIds) => side.tokenizer.decode(tokenIds));
  const before = textsOf(whole);
  const rows = sides.map((side): Cell[] => {
    const texts = textsOf(side);
    const same = texts.filter((text, index) => text === before[index]).length;
    const human = pairs.map((pair) => pair.human);
    return [
      side.name,
      String(side.manifest.shortlist?.tokens ?? side.manifest.shape.targetVocabulary),
      charBleu(texts, human).toFixed(2),
      `${same} of ${texts.length}`,
      rates.get(side) ?? [],
      ratios(rates.get(side) ?? [], rates.get(whole) ?? []),
      hashOf(outputs.get(side) ?? []),
    ];
  });
  const columns = [
    "output",
    "tokens",
    "BLEU",
    "texts as before",
    "sentences/s",
    "÷ all tokens",
    "outputs",
  ];
  report.table({ title: `${beams} beams`, columns, rows });
  return sides.map((side) => hashOf(outputs.get(side) ?? []));
}
