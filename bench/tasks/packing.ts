/**
 * The same texts through the same graph in three ways: packed by length by the staged engine; in the order of arrival in
 * fixed batches, padded, as encoders are usually driven; and those batches without the padding in the products.
 */
import { join } from "node:path";
import type { FrameOutcome } from "#src/frames/messages.js";
import type { EncoderManifest } from "#src/models/programs/manifest-encoder.js";
import { TextTokenizer } from "#src/prepare/text/text-tokenizer.js";
import { loadEngine } from "#src/runtime/engines.js";
import { type FlatBatch, flatten } from "#src/runtime/flat-batch.js";
import { f32, floatsOf, i32, i64, Session } from "#src/runtime/session.js";
import { encoderPayload } from "#src/work/encoding.js";
import { type Report, ratios } from "../harness/report.js";
import type { MadeModel, TasksSettings } from "./settings.js";

export interface PackingInput {
  readonly dir: string;
  readonly manifest: EncoderManifest;
  readonly texts: readonly Int32Array[];
  readonly threads: number;
}

/** Vectors in the order of the texts, and what it took. */
export interface PackingRun {
  readonly ms: number;
  readonly vectors: readonly Float32Array[];
}

export type PackingWay = (texts: readonly Int32Array[]) => Promise<PackingRun>;

/** All of the texts are there when it begins, as in bulk work. */
async function packedByLength(input: PackingInput): Promise<PackingWay> {
  const outcomes = new Map<number, FrameOutcome>();
  const engine = await loadEngine(
    { modelDir: input.dir, threads: input.threads, rowsMax: 256, weightsCache: null },
    {
      onRun: () => {},
      onOutcomes: (some) => {
        for (const outcome of some) outcomes.set(outcome.itemId, outcome);
      },
    },
  );
  const embedding = { pooling: "mean", layer: input.manifest.shape.layers } as const;
  return async (texts) => {
    outcomes.clear();
    const startedAtMs = performance.now();
    engine.admit(
      "bulk",
      texts.map((tokens, itemId) => ({
        itemId,
        payload: encoderPayload({ tokens, types: null, embedding }),
      })),
    );
    while (!engine.idle) await engine.step();
    const ms = performance.now() - startedAtMs;
    return { ms, vectors: texts.map((_, itemId) => vectorOf(outcomes.get(itemId))) };
  };
}

function vectorOf(outcome: FrameOutcome | undefined): Float32Array {
  const data = outcome?.ok === true ? outcome.value.tensors["embedding"]?.data : undefined;
  if (data instanceof Float32Array) return data;
  throw new Error(`a text had no embedding: ${JSON.stringify(outcome)}`);
}

/** `padded`: what is padding goes through every product, as in a tensor of texts × width. */
async function fixedBatches(
  input: PackingInput,
  { size, padded }: { readonly size: number; readonly padded: boolean },
): Promise<PackingWay> {
  const { encoder } = input.manifest.files;
  const session = await Session.open(join(input.dir, encoder), {
    threads: input.threads,
    spin: false,
  });
  return async (texts) => {
    const vectors: Float32Array[] = [];
    const startedAtMs = performance.now();
    for (let from = 0; from < texts.length; from += size) {
      vectors.push(
        ...(await runBatch(session, input, { texts: texts.slice(from, from + size), padded })),
      );
    }
    return { ms: performance.now() - startedAtMs, vectors };
  };
}

async function runBatch(
  session: Session,
  { manifest }: PackingInput,
  { texts, padded }: { readonly texts: readonly Int32Array[]; readonly padded: boolean },
): Promise<Float32Array[]> {
  const longest = texts.reduce((most, { length }) => Math.max(most, length), 0);
  const width = padded ? longest : Math.ceil(longest / 16) * 16;
  const batch = padded ? paddedBatch(texts, width) : flatten(texts, width);
  const pool = new Float32Array(texts.length * width);
  for (const [index, { length }] of texts.entries())
    pool.fill(1 / length, index * width, index * width + length);
  const tokens = batch.tokens.length;
  const fetches = await session.run(
    {
      ids: i32(batch.tokens, [tokens]),
      positions: i32(batch.positions, [tokens]),
      ...(manifest.shape.tokenTypes > 0 ? { types: i32(new Int32Array(tokens), [tokens]) } : {}),
      mask: f32(batch.mask, [texts.length, 1, 1, width]),
      place_tokens: i32(batch.placeTokens, [texts.length * width]),
      token_places: i32(batch.tokenPlaces, [tokens]),
      sentence_shape: i64([texts.length, width]),
      pool: f32(pool, [texts.length, 1, width]),
      layer: i64([manifest.shape.layers]),
    },
    ["pooled"],
  );
  const size = manifest.shape.width;
  const all = floatsOf(fetches, "pooled", texts.length * size);
  return texts.map((_, index) => all.slice(index * size, (index + 1) * size));
}

/** Every place holds a token, of which the mask hides those that are padding. */
function paddedBatch(texts: readonly Int32Array[], width: number): FlatBatch {
  const places = texts.length * width;
  const tokens = new Int32Array(places);
  const positions = new Int32Array(places);
  const mask = new Float32Array(places);
  for (const [index, text] of texts.entries()) {
    const from = index * width;
    tokens.set(text, from);
    for (let at = 0; at < width; at += 1) positions[from + at] = at;
    mask.fill(-1e9, from + text.length, from + width);
  }
  const own = Int32Array.from({ length: places }, (_, at) => at);
  return { tokens, positions, mask, placeTokens: own, tokenPlaces: own };
}

const ways = ["packed by length", "fixed batches of 32", "the same without padding"] as const;

export async function benchPacking(
  report: Report,
  models: readonly MadeModel[],
  { texts, rounds, threads }: TasksSettings,
): Promise<void> {
  const speeds = new Map<string, number[]>();
  for (const model of models) {
    const tokenizer = await TextTokenizer.open({
      path: join(model.dir, model.manifest.files.tokenizer),
      unknownTokenId: null,
    });
    const tokens = texts.map((text) => Int32Array.from(tokenizer.encode(text)));
    const input = { ...model, texts: tokens, threads };
    const drivers = [
      await packedByLength(input),
      await fixedBatches(input, { size: 32, padded: true }),
      await fixedBatches(input, { size: 32, padded: false }),
    ];
    const title = `${model.shape.name} ${model.precision}`;
    let largestDifference = 0;
    for (const drive of drivers) await drive(tokens.slice(0, 64));
    for (let round = 0; round < rounds; round += 1) {
      const runs: PackingRun[] = [];
      for (const [index, drive] of drivers.entries()) {
        const run = await drive(tokens);
        runs.push(run);
        const key = `${title}, ${ways[index]}`;
        speeds.set(key, [...(speeds.get(key) ?? []), (1_000 * texts.length) / run.ms]);
      }
      for (const other of runs.slice(1))
        largestDifference = Math.max(largestDifference, differenceOf(runs[0], other));
    }
    report.say(
      `${title}: largest difference between the ways ${largestDifference.toExponential(1)}`,
    );
  }
  for (const [key, values] of speeds) report.add(key, values, { unit: "texts/s" });
  const ratio = (title: string, a: readonly number[] = [], b: readonly number[] = []): void =>
    report.add(title, ratios(a, b));
  for (const { shape, precision } of models) {
    const of = (way: (typeof ways)[number]) => speeds.get(`${shape.name} ${precision}, ${way}`);
    ratio(`${shape.name} ${precision}: packed / fixed`, of(ways[0]), of(ways[1]));
    ratio(`${shape.name} ${precision}: packed / fixed, no padding`, of(ways[0]), of(ways[2]));
  }
  const [float, int8] = models.map(({ shape, precision }) =>
    speeds.get(`${shape.name} ${precision}, ${ways[0]}`),
  );
  ratio(`${models[0]?.shape.name}: int8 / float32, packed`, int8, float);
}

function differenceOf(one: PackingRun | undefined, other: PackingRun): number {
  let largest = 0;
  for (const [index, vector] of other.vectors.entries()) {
    const mine = one?.vectors[index];
    for (const [at, value] of vector.entries())
      largest = Math.max(largest, Math.abs(value - (mine?.[at] ?? Number.NaN)));
  }
  return largest;
}
