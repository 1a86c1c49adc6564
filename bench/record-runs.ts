/** `npm run bench -- record-runs > test/sim/recorded-runs.json`: real run times, for the scheduler's simulator. */
import { join } from "node:path";
import { parseArgs } from "node:util";
import { Arena, cacheShapeOf } from "#src/runtime/generation/arena.js";
import { GenerationModel } from "#src/runtime/generation/generation-model.js";
import { readGeneration } from "../test/support/read-generation.js";
import { countOf, usual } from "./harness/flags.js";
import { describeMachine, spread } from "./harness/machine.js";

const usage = `npm run bench -- record-runs [flags]
Medians of an encoder's run and of a decoder's step, of 1 to 128 rows and 16 to 128 tokens, as JSON: test/sim/recorded-runs.json.
  --model DIR    Millrace folder (default: models/en-zh)
  --threads N    of each run; 0: all cores (default: 1)
  --repeats N    of each run (default: 15)
  --largest N    rows and tokens, for a short run (default: 128)
Example:
  node build/bench/main.js record-runs > test/sim/recorded-runs.json`;

const rowsGrid = [1, 2, 4, 8, 16, 32, 64, 128];
const widthGrid = [16, 32, 64, 128];

interface Timing {
  readonly model: GenerationModel;
  readonly repeats: number;
}

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      model: usual.model,
      threads: usual.threads,
      repeats: { type: "string", default: "15" },
      largest: { type: "string", default: "128" },
      help: usual.help,
    },
  });
  if (values.help) return console.log(usage);
  const manifest = await readGeneration(values.model);
  const paths = {
    encoder: join(values.model, manifest.files.encoder),
    decoder: join(values.model, manifest.files.decoder),
  };
  const threads = countOf("threads", values.threads, 0);
  const model = await GenerationModel.load(paths, manifest, { threads, spin: false });
  const timing: Timing = { model, repeats: countOf("repeats", values.repeats) };
  const runs: { stage: string; rows: number; width: number; ms: number }[] = [];
  const grid = (sizes: readonly number[]) =>
    sizes.filter((value) => value <= countOf("largest", values.largest));
  for (const width of grid(widthGrid)) {
    for (const rows of grid(rowsGrid)) {
      runs.push({ stage: "encode", rows, width, ms: await timeEncode(timing, rows, width) });
      runs.push({ stage: "decode", rows, width, ms: await timeStep(timing, rows, width) });
    }
  }
  const source = `npm run bench -- record-runs; medians of ${timing.repeats}; ${manifest.name} ${manifest.precision}, ${threads} threads; ${describeMachine()}`;
  const lines = runs.map((each) => `    ${JSON.stringify(each)}`).join(",\n");
  console.log(`{\n  "source": ${JSON.stringify(source)},\n  "runs": [\n${lines}\n  ]\n}`);
}

function sentences(model: GenerationModel, rows: number, width: number): number[][] {
  const { sourceVocabulary: vocabulary } = model.manifest.shape;
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: width - 2 }, (_, place) => (row * 31 + place * 7 + 11) % vocabulary),
  );
}

async function timeEncode(
  { model, repeats }: Timing,
  rows: number,
  width: number,
): Promise<number> {
  const batch = sentences(model, rows, width);
  return await median(repeats, async () => {
    await model.encode(batch, width);
  });
}

async function timeStep({ model, repeats }: Timing, rows: number, width: number): Promise<number> {
  const { shape } = model.manifest;
  const encoded = await model.encode(sentences(model, rows, width), width);
  const arena = new Arena({
    ...cacheShapeOf(shape),
    width: 1,
    crossWidth: width,
    slotsMax: rows,
  });
  for (let row = 0; row < rows; row += 1) arena.add(encoded, row, width - 2);
  const tokens = new Int32Array(rows).fill(11);
  for (let length = 0; length < width - 1; length += 1) {
    arena.reserve();
    await model.step(arena, tokens, 2);
    arena.advance();
  }
  return await median(repeats, async () => {
    await model.step(arena, tokens, 2);
  });
}

async function median(repeats: number, action: () => Promise<void>): Promise<number> {
  const times: number[] = [];
  for (let repeat = 0; repeat < repeats; repeat += 1) {
    const startedAtMs = performance.now();
    await action();
    times.push(performance.now() - startedAtMs);
  }
  return Number(spread(times).median.toFixed(3));
}
