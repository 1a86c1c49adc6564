/**
 * `npm run bench -- floor`: what a run takes against what its matrix products take alone, which is the floor of it. A decoder step and an
 * encoder's chunk; in one process, in turns, with the kernels, weights and shapes of the model itself.
 */
import { parseArgs } from "node:util";
import { beginReport } from "../harness/begin-report.js";
import { describeModel } from "../harness/describe-model.js";
import { finish } from "../harness/finish.js";
import { countOf, countsOf, usual } from "../harness/flags.js";
import { spread } from "../harness/machine.js";
import { atLeast, type Report, ratios, under } from "../harness/report.js";
import { inTurns } from "../harness/rounds.js";
import { type Run, Side } from "./sides.js";
import { chunkWork, productsWork, type StepSize, stepWork, type Work } from "./work.js";

const usage = `npm run bench -- floor [flags]
A decoder step, and an encoder's chunk of 16 sentences of 16 tokens, against their matrix products alone: the same shapes, weights, order and
kernels in a graph of nothing else. Milliseconds a run, medians (least–most) of rounds in which all take turns; a round is the mean of its
runs. A MAC is a multiplication with an addition. "feeding" is what that graph does beside its products (it makes their inputs and keeps a number of each result), and is taken off.
  --model DIR      Millrace folder (default: models/en-zh)
  --model-f32 DIR  the same model in float32: int8 against float32 of the same step (default: left out)
  --rows N         sentences side by side; rows are these times the beams (default: 64)
  --beams LIST     (default: 1,3)
  --past LIST      tokens that each row has already (default: 16,32)
  --input LIST     tokens of each sentence (default: 16,64)
  --threads N      of each run; 0: all cores (default: 1)
  --runs N         of a round (default: 5)
  --rounds N       (default: 5)
  --json FILE      the figures as JSON
Examples:
  npm run bench -- floor
  npm run bench -- floor --model /tmp/base-int8 --model-f32 /tmp/base-f32 --beams 3 --past 30 --input 58 --json floor.json`;

const flags = {
  model: usual.model,
  "model-f32": { type: "string" },
  rows: usual.rows,
  beams: { type: "string", default: "1,3" },
  past: { type: "string", default: "16,32" },
  input: { type: "string", default: "16,64" },
  threads: usual.threads,
  runs: { type: "string", default: "5" },
  rounds: usual.rounds,
  json: usual.json,
  help: usual.help,
} as const;

type Flags = ReturnType<typeof parseArgs<{ options: typeof flags }>>["values"];

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: flags });
  if (values.help) return console.log(usage);
  const { report, machine } = beginReport();
  const threads = countOf("threads", values.threads, 0);
  await using own = await Side.open(values.model, threads);
  const floatDir = values["model-f32"];
  await using float = floatDir === undefined ? null : await Side.open(floatDir, threads);
  const floor: Floor = { report, values, own, float };
  const model = describeModel(own.manifest);
  report.say(
    `${values.model}: ${model}; ${threads} threads; ${values.rounds} rounds of ${values.runs} runs`,
  );
  for (const beams of countsOf("beams", values.beams)) await measureSteps(floor, beams);
  await measureChunk(floor);
  const facts = { settings: values, model };
  await finish(report, { machine, facts, jsonFile: values.json });
}

interface Floor {
  readonly report: Report;
  readonly values: Flags;
  readonly own: Side;
  /** The same model in float32. */
  readonly float: Side | null;
}

/** A step in its products: a target for rows that are many, where they are most of what there is to do. */
const timesProductsMax = 2;
/** A step in float32 in one of int8: what narrower weights are for. */
const timesFloatMin = 2;

async function measureSteps(floor: Floor, beams: number): Promise<void> {
  const { report, values, own, float } = floor;
  const sentences = countOf("rows", values.rows);
  const rows = sentences * beams;
  const sizes = countsOf("past", values.past, 0).flatMap((past) =>
    countsOf("input", values.input).map((input): StepSize => ({ sentences, beams, past, input })),
  );
  report.say(`\n## A step of ${sentences} × ${beams} rows`);
  const runs = new Map<string, Run>();
  for (const part of ["products", "feeding"] as const) {
    runs.set(part, await own.floor("decoder", part, rows));
  }
  for (const size of sizes) {
    runs.set(titleOf(size), await own.step(size));
    if (float !== null) runs.set(`${titleOf(size)}, float32`, await float.step(size));
  }
  if (float !== null) {
    runs.set("products, float32", await float.floor("decoder", "products", rows));
    runs.set("feeding, float32", await float.floor("decoder", "feeding", rows));
  }
  const ms = await measure(floor, runs);
  const products = alone(ms, "");
  const { multiplyAdds } = productsWork(own.graphs.decoder, rows);
  tellProducts(floor, `${sentences} × ${beams}`, { ms, products, multiplyAdds });
  for (const size of sizes) {
    const title = titleOf(size);
    const step = valuesOf(ms, title);
    tellWork(floor, { title, works: stepWork(own.graphs.decoder, size), step });
    const target = { target: under(timesProductsMax) };
    report.add(`${title}: a step`, step, { unit: "ms" });
    report.add(`${title}: times its products`, ratios(step, products), target);
    if (float === null) continue;
    const inFloat = valuesOf(ms, `${title}, float32`);
    report.add(`${title}: a step in float32`, inFloat, { unit: "ms" });
    const versus = { target: atLeast(timesFloatMin) };
    report.add(`${title}: as fast as float32, times`, ratios(inFloat, step), versus);
  }
}

const chunk = { sentences: 16, tokens: 16 };

async function measureChunk(floor: Floor): Promise<void> {
  const { report, own, float } = floor;
  const { encoderLayers: layers, width } = own.manifest.shape;
  const { sentences, tokens } = chunk;
  const title = `encoder, ${sentences} × ${tokens} tokens`;
  report.say(`\n## ${title}`);
  const rows = sentences * tokens;
  const runs = new Map<string, Run>([
    ["products", await own.floor("encoder", "products", rows)],
    ["feeding", await own.floor("encoder", "feeding", rows)],
    ["chunk", own.chunk(sentences, tokens)],
  ]);
  if (float !== null) {
    runs.set("chunk, float32", float.chunk(sentences, tokens));
  }
  const ms = await measure(floor, runs);
  const products = alone(ms, "");
  const { multiplyAdds } = productsWork(own.graphs.encoder, rows);
  tellProducts(floor, title, { ms, products, multiplyAdds });
  const whole = valuesOf(ms, "chunk");
  const works = chunkWork(own.graphs.encoder, { ...chunk, layers, width });
  tellWork(floor, { title, works, step: whole });
  report.add(`${title}: a chunk`, whole, { unit: "ms" });
  report.add(`${title}: times its products`, ratios(whole, products));
  if (float === null) return;
  const versus = { target: atLeast(timesFloatMin) };
  report.add(
    `${title}: as fast as float32, times`,
    ratios(valuesOf(ms, "chunk, float32"), whole),
    versus,
  );
}

type Measured = ReadonlyMap<string, readonly number[]>;

/** Milliseconds of one, by what it is and round. */
async function measure({ values }: Floor, runs: ReadonlyMap<string, Run>): Promise<Measured> {
  for (const one of runs.values()) await one();
  return await inTurns([...runs.keys()], countOf("rounds", values.rounds), async (name) => {
    const one = runs.get(name);
    const count = countOf("runs", values.runs);
    const startedAtMs = performance.now();
    for (let done = 0; done < count; done += 1) await one?.();
    return (performance.now() - startedAtMs) / count;
  });
}

function valuesOf(ms: Measured, name: string): readonly number[] {
  const found = ms.get(name);
  if (found === undefined) throw new Error(`nobody measured ${name}`);
  return found;
}

/** Products less what feeds them, round by round. */
function alone(ms: Measured, of: "" | ", float32"): readonly number[] {
  const feeding = valuesOf(ms, `feeding${of}`);
  return valuesOf(ms, `products${of}`).map((value, round) => value - (feeding[round] ?? 0));
}

function tellProducts(
  { report, float }: Floor,
  title: string,
  of: {
    readonly ms: Measured;
    readonly products: readonly number[];
    readonly multiplyAdds: number;
  },
): void {
  const { ms, products, multiplyAdds } = of;
  const perSecond = products.map((each) => multiplyAdds / each / 1e6);
  report.add(`${title}: the products alone`, products, { unit: "ms" });
  report.add(`${title}: which is`, perSecond, { unit: "GMAC/s" });
  report.add(`${title}: feeding them (taken off)`, valuesOf(ms, "feeding"), { unit: "ms" });
  if (float === null || !ms.has("products, float32")) return;
  report.add(`${title}: the products alone in float32`, alone(ms, ", float32"), { unit: "ms" });
}

/** What is to be done, and how fast it would have to be done, if it took the whole step. */
function tellWork(
  { report }: Floor,
  of: { readonly title: string; readonly works: readonly Work[]; readonly step: readonly number[] },
): void {
  const { title, works, step } = of;
  const all = {
    part: "all",
    multiplyAdds: works.reduce((sum, { multiplyAdds }) => sum + multiplyAdds, 0),
    bytes: works.reduce((sum, { bytes }) => sum + bytes, 0),
  };
  const { median } = spread(step);
  report.table({
    title: `${title}: counted`,
    columns: ["part", "MMAC", "MB"],
    rows: [...works, all].map(({ part, multiplyAdds, bytes }) => [
      part,
      (multiplyAdds / 1e6).toFixed(1),
      (bytes / 1e6).toFixed(1),
    ]),
  });
  report.say("");
  const perSecond = [all.multiplyAdds / median / 1e6, all.bytes / median / 1e6];
  const [operations = 0, bytes = 0] = perSecond;
  report.say(
    `${title}: ${operations.toFixed(1)} GMAC/s and ${bytes.toFixed(1)} GB/s of a whole run`,
  );
}

function titleOf({ sentences, beams, past, input }: StepSize): string {
  return `${sentences} × ${beams}, past ${past}, input ${input}`;
}
