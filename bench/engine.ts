/**
 * `npm run bench -- engine`: the engine against simpler ways to drive the same graphs, and the server against the
 * engine. Everything in one run; figures are medians of rounds that take turns, with the least and the most.
 */
import { existsSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { GenerationModel } from "#src/runtime/generation/generation-model.js";
import { readGeneration } from "../test/support/read-generation.js";
import { TempDir } from "../test/support/temp-dir.js";
import { convertFloat } from "./convert-float.js";
import { type Driver, oneByOne, perToken, staticBatches } from "./drivers.js";
import { amountOf, countOf, usual } from "./harness/flags.js";
import { inTurns } from "./harness/rounds.js";
import { benchHttp } from "./http.js";
import { describeMachine, hashOf, spread, spreadText } from "./machine.js";
import { readSentences } from "./sentences.js";

const usage = `npm run bench -- engine [flags]
  --model DIR        int8 Millrace folder (default: models/en-zh)
  --source DIR       Hugging Face folder, converted for the float32 rows (default: ../shared/models/en-zh; else left out)
  --sentences FILE   one a line (default: models/calibration.en.txt)
  --count N          sentences a round (default: 448)
  --rounds N         (default: 5)
  --seconds N        of each HTTP measurement (default: 5; 0 leaves HTTP out)`;

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
      help: usual.help,
    },
  });
  if (values.help) return console.log(usage);
  const settings = {
    file: values.sentences,
    count: countOf("count", values.count),
    rounds: countOf("rounds", values.rounds),
  };
  console.log(
    `${describeMachine()}\n${settings.count} sentences of ${settings.file}, greedy; rounds: ${settings.rounds}`,
  );
  await benchPrecision("int8", values.model, settings);
  await benchFloat(values.source, settings);
  if (amountOf("seconds", values.seconds) > 0) {
    await benchHttp({
      modelDir: resolve(values.model),
      file: values.sentences,
      seconds: amountOf("seconds", values.seconds),
      rounds: settings.rounds,
    });
  }
}

interface Settings {
  readonly file: string;
  readonly count: number;
  readonly rounds: number;
}

async function benchFloat(source: string, settings: Settings): Promise<void> {
  if (!existsSync(source)) {
    console.log(
      `\nfloat32: left out, there is no ${source}; name a Hugging Face folder with --source`,
    );
    return;
  }
  await using temp = await TempDir.make();
  const parent = temp.path;
  await benchPrecision("float32", await convertFloat(source, parent), settings);
}

const ways: readonly { readonly name: string; readonly driver: Driver }[] = [
  { name: "(a) one sentence at a time", driver: oneByOne },
  { name: "(b) static batches of 64", driver: staticBatches(64) },
  { name: "engine, 1 row", driver: perToken(1) },
  { name: "engine, 8 rows", driver: perToken(8) },
  { name: "engine, 64 rows", driver: perToken(64) },
];

async function benchPrecision(precision: string, dir: string, settings: Settings): Promise<void> {
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
  const rates = new Map(ways.map((way) => [way.name, turns.get(way) ?? []]));
  await model.release();
  print(precision, threads, { rates, hashes });
}

function print(
  precision: string,
  threads: number,
  measured: {
    readonly rates: ReadonlyMap<string, readonly number[]>;
    readonly hashes: Map<string, string>;
  },
): void {
  const { rates, hashes } = measured;
  console.log(`\n${precision}, ${threads} threads: sentences/s, median (least–most), results`);
  for (const [name, values] of rates) {
    console.log(`  ${name.padEnd(28)} ${spreadText(values, 0).padStart(20)}   ${hashes.get(name)}`);
  }
  const best = spread(rates.get("engine, 64 rows") ?? []).median;
  for (const [way, target] of [
    ["(a) one sentence at a time", 4],
    ["(b) static batches of 64", 1.3],
  ] as const) {
    const ratio = best / spread(rates.get(way) ?? []).median;
    console.log(`  engine, 64 rows, is ${ratio.toFixed(2)} × ${way} (target ${target})`);
  }
}
