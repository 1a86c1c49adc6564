/**
 * `npm run bench -- engine`: the engine against simpler ways to drive the same graphs, and the server against the
 * engine. Everything in one run; figures are medians of rounds that take turns, with the least and the most.
 */
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { GenerationModel } from "#src/runtime/generation/generation-model.js";
import { readGeneration } from "../../test/support/read-generation.js";
import { TempDir } from "../../test/support/temp-dir.js";
import { convertFloat } from "../convert-float.js";
import { beginReport } from "../harness/begin-report.js";
import { finish } from "../harness/finish.js";
import { amountOf, countOf, usual } from "../harness/flags.js";
import { hashOf } from "../harness/machine.js";
import { atLeast, type Report, ratios } from "../harness/report.js";
import { inTurns } from "../harness/rounds.js";
import { readSentences } from "../sentences.js";
import { type Driver, oneByOne, perToken, staticBatches } from "./drivers.js";
import { benchHttp } from "./http.js";

const usage = `npm run bench -- engine [flags]
  --model DIR        int8 Millrace folder (default: models/en-zh)
  --source DIR       Hugging Face folder, converted for the float32 rows (default: ../shared/models/en-zh; else left out)
  --sentences FILE   one a line (default: models/calibration.en.txt)
  --count N          sentences a round (default: 448)
  --rounds N         (default: 5)
  --seconds N        of each HTTP measurement (default: 5; 0 leaves HTTP out)
  --json FILE        the figures`;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      model: usual.model,
      source: usual.source,
      sentences: usual.sentences,
      count: usual.count,
      rounds: usual.rounds,
      seconds: { type: "string", default: "5" },
      json: usual.json,
      help: usual.help,
    },
  });
  if (values.help) return console.log(usage);
  const settings = {
    file: values.sentences,
    count: countOf("count", values.count),
    rounds: countOf("rounds", values.rounds),
  };
  const seconds = amountOf("seconds", values.seconds);
  const { report, machine } = beginReport("engine");
  const { file, count, rounds } = settings;
  report.say(`${count} sentences of ${file}, greedy; rounds: ${rounds}`);
  await benchPrecision(report, { precision: "int8", dir: values.model, ...settings });
  await benchFloat(report, values.source, settings);
  if (seconds > 0) {
    await benchHttp(report, { modelDir: resolve(values.model), file, seconds, rounds });
  }
  await finish(report, { machine, facts: { ...settings, seconds }, jsonFile: values.json });
}

interface Settings {
  readonly file: string;
  readonly count: number;
  readonly rounds: number;
}

async function benchFloat(report: Report, source: string, settings: Settings): Promise<void> {
  if (!existsSync(source)) {
    report.say(
      `\nfloat32: left out, there is no ${source}; name a Hugging Face folder with --source`,
    );
    return;
  }
  await using temp = await TempDir.make();
  const dir = await convertFloat(source, temp.path);
  await benchPrecision(report, { precision: "float32", dir, ...settings });
}

const ways: readonly { readonly name: string; readonly driver: Driver }[] = [
  { name: "(a) one sentence at a time", driver: oneByOne },
  { name: "(b) static batches of 64", driver: staticBatches(64) },
  { name: "engine, 1 row", driver: perToken(1) },
  { name: "engine, 8 rows", driver: perToken(8) },
  { name: "engine, 64 rows", driver: perToken(64) },
];

interface PrecisionSettings extends Settings {
  readonly precision: string;
  readonly dir: string;
}

async function benchPrecision(
  report: Report,
  { precision, dir, ...settings }: PrecisionSettings,
): Promise<void> {
  const manifest = await readGeneration(dir);
  const paths = {
    encoder: join(dir, manifest.files.encoder),
    decoder: join(dir, manifest.files.decoder),
  };
  const threads = availableParallelism();
  const model = await GenerationModel.load(paths, manifest, { threads, spin: false });
  const sentences = readSentences(
    settings.file,
    join(dir, manifest.files.tokenizer),
    settings.count,
  );
  const ids = sentences.map((sentence) => sentence.tokenIds);
  await perToken(64)(model, ids.slice(0, 64));
  const hashes = new Map<string, string>();
  const turns = await inTurns(ways, settings.rounds, async ({ name, driver }) => {
    const startedAtMs = performance.now();
    const results = await driver(model, ids);
    hashes.set(name, hashOf(results));
    return (ids.length / (performance.now() - startedAtMs)) * 1000;
  });
  await model.release();
  const rates = new Map(ways.map((way) => [way.name, turns.get(way) ?? []]));
  report.table({
    title: `${precision}, ${threads} threads`,
    columns: ["way", "sentences/s", "results"],
    rows: [...rates].map(([name, values]) => [name, values, hashes.get(name) ?? ""]),
  });
  report.say("");
  const best = rates.get("engine, 64 rows") ?? [];
  for (const [way, than] of [
    ["(a) one sentence at a time", 4],
    ["(b) static batches of 64", 1.3],
  ] as const) {
    const title = `${precision}: engine, 64 rows / ${way}`;
    report.add(title, ratios(best, rates.get(way) ?? []), { target: atLeast(than) });
  }
}
