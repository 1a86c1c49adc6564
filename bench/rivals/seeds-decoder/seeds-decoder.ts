/**
 * `npm run bench -- seeds-decoder`: Millrace beside the seeds' way of decoding, made as well as its authors could. Both translate the same
 * sentences with the same weights, in turns. The rival has all cores in float32, Millrace two pipelines.
 */
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { readGeneration } from "../../../test/support/read-generation.js";
import { convertFloat } from "../../convert-float.js";
import { beginReport } from "../../harness/begin-report.js";
import { atLeast, type Report, ratios } from "../../harness/report.js";
import { hashOf } from "../../machine.js";
import { convertMade } from "../../made-marian/convert-made.js";
import { marianShapes } from "../../made-marian/shapes.js";
import { writeMarian } from "../../made-marian/write-marian.js";
import { vocabularyText } from "../../vocabulary-text.js";
import { LineProcess, scriptOf } from "../line-process.js";
import { startServer } from "../residents.js";
import { linesOf, type SentenceSet, sentenceSet } from "../sentences.js";
import type { Translator, Turn, TurnResult } from "../turn.js";
import type { SeedsResult, SeedsSpec } from "./seeds-child.js";
import { writeSeedsDecoder } from "./write-graph.js";

const usage = `npm run bench -- seeds-decoder [flags]
Milliseconds a sentence, medians (least–most) of rounds in which both take turns: the whole prefix recomputed at every step, beams as rows,
a batch waits for its slowest (encoder output cached, logits of the last position only, float32, all cores), and Millrace's two pipelines.
  --source DIR       Marian folder (default: a made one of the seeds' size, see make-model)
  --shape NAME       of the made one: ${Object.keys(marianShapes).join(" or ")} (default: base)
  --int8 DIR         Millrace folder of it in int8 (default: converted)
  --f32 DIR          Millrace folder of it in float32 (default: converted)
  --sentences FILE   one a line (default: ../shared/data/sentences/data_4k.txt, else models/calibration.en.txt)
  --count N          sentences a turn (default: 32)
  --batch N          sentences of a batch of the rival (default: 16)
  --beams LIST       (default: 1 and the model's own)
  --rounds N         (default: 3)
  --profile N        sentences of the profile of the rival's operators; 0: none (default: 16)
  --json FILE        the figures as JSON
Examples:
  npm run bench -- seeds-decoder
  npm run bench -- seeds-decoder --source ../shared/models/en-zh --int8 models/en-zh --count 64`;

const flags = {
  source: { type: "string" },
  shape: { type: "string", default: "base" },
  int8: { type: "string" },
  f32: { type: "string" },
  sentences: { type: "string" },
  count: { type: "string", default: "32" },
  batch: { type: "string", default: "16" },
  beams: { type: "string" },
  rounds: { type: "string", default: "3" },
  profile: { type: "string", default: "16" },
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
    await compare({ report, values, dir, models: await modelsOf(values, dir) });
  } finally {
    await rm(dir, { recursive: true, force: true });
    if (values.json !== undefined) await writeFile(values.json, report.json(machine));
  }
}

interface Models {
  readonly int8: string;
  readonly f32: string;
  /** The rival's graph. */
  readonly decoder: string;
}

async function modelsOf(values: Flags, dir: string): Promise<Models> {
  const source = values.source ?? (await madeSource(values.shape, dir));
  const f32 = values.f32 ?? (await convertFloat(source, dir));
  const int8 = values.int8 ?? join(dir, "int8");
  if (values.int8 === undefined) await convertMade(source, { outDir: int8, precision: "int8" });
  return { int8: resolve(int8), f32: resolve(f32), decoder: await writeSeedsDecoder(dir, source) };
}

async function madeSource(name: string, dir: string): Promise<string> {
  const shape = marianShapes[name];
  if (shape === undefined) throw new Error(`no shape ${name}\n${usage}`);
  await writeMarian(join(dir, "marian"), shape, 1);
  return join(dir, "marian");
}

interface Comparison {
  readonly report: Report;
  readonly values: Flags;
  readonly dir: string;
  readonly models: Models;
}

async function compare(comparison: Comparison): Promise<void> {
  const { report, values, dir, models } = comparison;
  const manifest = await readGeneration(models.int8);
  const { files, generation, shape } = manifest;
  const usual = "../shared/data/sentences/data_4k.txt";
  const shipped = "models/calibration.en.txt";
  const file = values.sentences ?? (existsSync(usual) ? usual : shipped);
  const count = Number(values.count);
  const tokenizerFile = join(models.int8, files.tokenizer);
  const texts = linesOf(file);
  const set = sentenceSet(dir, { name: "all", from: file, texts }, { tokenizerFile, count });
  report.say(
    `${count} sentences of ${file}; ${vocabularyText(manifest)}, width ${shape.width}, outputs of at most ${generation.maxLength - 1} tokens; the rival's batches: ${values.batch}, float32, all cores`,
  );
  const beams = values.beams ?? [...new Set([1, generation.beams])].join(",");
  await using sides = await startSides(comparison, set);
  for (const each of beams.split(",")) await compareBeams(comparison, sides, Number(each));
  if (Number(values.profile) > 0) await profile(comparison, set, generation.beams);
}

interface Sides extends AsyncDisposable {
  readonly seeds: Translator;
  readonly int8: Translator;
  readonly f32: Translator;
}

async function startSides(comparison: Comparison, set: SentenceSet): Promise<Sides> {
  const { models, dir } = comparison;
  const pair = { pipelines: 2, threads: 1, cacheDir: dir };
  const started: Translator[] = [];
  const keep = (translator: Translator): Translator => {
    started.push(translator);
    return translator;
  };
  return {
    seeds: keep(await startSeeds(comparison, set, null)),
    int8: keep(await startServer({ ...pair, models: models.int8 }, set.idsFile)),
    f32: keep(await startServer({ ...pair, models: models.f32 }, set.idsFile)),
    [Symbol.asyncDispose]: async () => {
      for (const translator of started) await translator[Symbol.asyncDispose]();
    },
  };
}

async function startSeeds(
  { values, models }: Comparison,
  { idsFile }: SentenceSet,
  profileDir: string | null,
): Promise<Translator> {
  const spec: SeedsSpec = {
    modelDir: models.f32,
    decoder: models.decoder,
    idsFile,
    threads: 0,
    batch: Number(values.batch),
    profileDir,
  };
  const [child] = await LineProcess.start(scriptOf("seeds-decoder/seeds-child.js", spec));
  return {
    pid: child.pid,
    translate: async (turn) => JSON.parse(await child.ask(JSON.stringify(turn))) as SeedsResult,
    [Symbol.asyncDispose]: () => child[Symbol.asyncDispose](),
  };
}

async function compareBeams(
  { report, values }: Comparison,
  sides: Sides,
  beams: number,
): Promise<void> {
  const turn: Turn = { mode: "all", beams, count: Number(values.count) };
  const warm: Turn = { ...turn, count: Math.min(4, turn.count) };
  const done = { seeds: [] as TurnResult[], int8: [] as TurnResult[], f32: [] as TurnResult[] };
  const names = ["seeds", "int8", "f32"] as const;
  for (const name of names) await sides[name].translate(warm);
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const name of names) done[name].push(await sides[name].translate(turn));
  }
  const title = beams === 1 ? "greedy" : `${beams} beams`;
  const ms = (name: (typeof names)[number]) =>
    done[name].map(({ seconds, sentences }) => (1_000 * seconds) / sentences);
  report.add(`${title}: the seeds' way, float32`, ms("seeds"), { unit: "ms/sentence" });
  report.add(`${title}: Millrace int8, two pipelines`, ms("int8"), { unit: "ms/sentence" });
  report.add(`${title}: Millrace float32, two pipelines`, ms("f32"), { unit: "ms/sentence" });
  const wanted = beams === 1 ? {} : { target: atLeast(25) };
  report.add(`${title}: times as fast in int8`, ratios(ms("seeds"), ms("int8")), wanted);
  report.add(`${title}: times as fast in float32`, ratios(ms("seeds"), ms("f32")));
  const [theirs, ours] = [done.seeds[0], done.f32[0]];
  if (theirs === undefined || ours === undefined) return;
  const equal = theirs.outputs.filter((output, at) => output === ours.outputs[at]).length;
  report.say(
    `${title}: outputs ${hashOf(theirs.outputs)} and ${hashOf(ours.outputs)} in float32, ${equal} of ${turn.count} equal; ${(theirs.tokens / turn.count).toFixed(1)} tokens each`,
  );
}

/** In a process of its own: what is watched is slower. */
async function profile(comparison: Comparison, set: SentenceSet, beams: number): Promise<void> {
  const { report, values, dir } = comparison;
  const profileDir = join(dir, "profile");
  await mkdir(profileDir);
  await using seeds = await startSeeds(comparison, set, profileDir);
  const count = Math.min(Number(values.profile), Number(values.count));
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
