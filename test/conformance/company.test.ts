/**
 * A sentence is translated the same alone or in company: neighbours, batches, widths, arrival, the other class,
 * threads and pipelines change no bit of an int8 result, and in float32 hardly a text.
 */
import assert from "node:assert/strict";
import { after, before, type TestContext, test } from "node:test";
import type { TranslateResponse } from "millrace-client/wire";
import { createServer } from "#src/index.js";
import { Arena, padWidth } from "#src/runtime/generation/arena.js";
import type { GenerationModel, StepResult } from "#src/runtime/generation/generation-model.js";
import type { Hypothesis } from "#src/work/generation.js";
import { Random } from "../sim/random.js";
import { convertQuietly } from "../support/converted.js";
import {
  bundledModelDir,
  decoderOf,
  openModel,
  type Sentence,
  WatchedEngine,
} from "../support/engine.js";
import { isLong, someOf } from "../support/long.js";
import { writeMarianFolder } from "../support/marian-folder.js";
import { readCommittedRows } from "../support/reference.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";

const inputTokensMax = 128;

/** Sentences of every length; each one is searched greedily and with 4 beams. */
let sentences: readonly Sentence[] = [];
let texts: readonly string[] = [];
let int8: GenerationModel;
/** What each sentence gives in an engine of its own. */
let alone: readonly string[] = [];

before(async () => {
  const rows = someOf(readCommittedRows().rows, 20);
  texts = rows.map((row) => row.source);
  const inputs = rows.map((row) => row.input_ids);
  // One token; two; and as many as the model takes, made of all the sentences.
  const long = inputs.flatMap((ids) => ids.slice(0, -1));
  const made = [
    [0],
    [82, 0],
    ...[16, 31, 65, 90, 128].map((length) => [...long.slice(0, length - 1), 0]),
  ];
  sentences = [...inputs, ...made].flatMap((tokenIds) => [
    { tokenIds },
    { tokenIds, settings: { beams: 4, nBest: 2 } },
  ]);
  int8 = await openModel(bundledModelDir, 1);
  alone = await translateAlone(int8, sentences);
});

after(async () => {
  await int8.release();
});

/** Ids, and scores to the last bit. */
function exactly(hypotheses: readonly Hypothesis[]): string {
  return JSON.stringify(hypotheses);
}

async function translateAlone(
  model: GenerationModel,
  all: readonly Sentence[],
): Promise<readonly string[]> {
  const results: string[] = [];
  for (const sentence of all) {
    const watched = new WatchedEngine(model);
    watched.engine.admit("realtime", [watched.itemOf(0, sentence)]);
    await watched.finish();
    results.push(exactly(watched.hypotheses(0)));
  }
  return results;
}

function itemsOf(watched: WatchedEngine, itemIds: readonly number[]) {
  return itemIds.map((itemId) => {
    const sentence = sentences[itemId];
    if (sentence === undefined) throw new Error(`no sentence ${itemId}`);
    return watched.itemOf(itemId, sentence);
  });
}

const everyId = () => sentences.map((_, itemId) => itemId);

function checkAll(watched: WatchedEngine, itemIds: readonly number[]): void {
  for (const itemId of itemIds) {
    assert.equal(exactly(watched.hypotheses(itemId)), alone[itemId], `sentence ${itemId}`);
  }
}

for (const size of [2, 7, 33]) {
  test(`int8: in batches of ${size}, lengths and searches mixed`, async () => {
    // Pairs are many runs; a third of the sentences is enough of them.
    const ids = new Random(size).shuffled(everyId()).filter((id) => size > 2 || id % 3 === 0);
    for (let from = 0; from < ids.length; from += size) {
      const batch = ids.slice(from, from + size);
      const watched = new WatchedEngine(int8);
      watched.engine.admit("bulk", itemsOf(watched, batch));
      await watched.finish();
      checkAll(watched, batch);
    }
  });
}

for (const rowsMax of isLong ? [8, 64, 256] : [8, 256]) {
  test(`int8: all at once in another order, ${rowsMax} rows`, async () => {
    const ids = new Random(rowsMax).shuffled(everyId());
    // Chunks without a bound on their time, so that the batches are as large as the rows allow.
    const watched = new WatchedEngine(int8, { rowsMax, chunkMs: 1_000 });
    watched.engine.admit("bulk", itemsOf(watched, ids));
    await watched.finish();
    checkAll(watched, ids);
  });
}

for (const seed of isLong ? [1, 2] : [1]) {
  const title = `joined between steps, in both classes, beside neighbours that are cancelled (seed ${seed})`;
  test(`int8: ${title}`, async () => {
    const random = new Random(seed);
    const watched = new WatchedEngine(int8);
    const waiting = random.shuffled(everyId());
    const ghosts: number[] = [];
    const ghost = () => {
      const itemId = sentences.length + ghosts.length;
      ghosts.push(itemId);
      const sentence = random.pick(sentences);
      return watched.itemOf(itemId, sentence);
    };
    let more = true;
    while (more) {
      const joining = itemsOf(watched, waiting.splice(0, random.int(0, 3)));
      const beside = joining.length > 0 && random.chance(0.5) ? [ghost()] : [];
      watched.engine.admit(
        random.chance(0.5) ? "realtime" : "bulk",
        random.shuffled([...joining, ...beside]),
      );
      if (random.chance(0.2) && ghosts.length > 0) watched.engine.cancel([random.pick(ghosts)]);
      await watched.engine.step();
      more = !watched.engine.idle || waiting.length > 0;
    }
    checkAll(watched, everyId());
    assert.ok(
      ghosts.some((itemId) => !watched.outcomes.has(itemId)),
      "nothing was cancelled",
    );
  });
}

test("int8: with two threads", async () => {
  const model = await openModel(bundledModelDir, 2);
  const watched = new WatchedEngine(model);
  watched.engine.admit("bulk", itemsOf(watched, everyId()));
  await watched.finish();
  checkAll(watched, everyId());
  const some = everyId().filter((itemId) => itemId % 5 === 0);
  const others = some.map((itemId) => sentences[itemId] ?? { tokenIds: [] });
  assert.deepEqual(
    await translateAlone(model, others),
    some.map((itemId) => alone[itemId]),
  );
  await model.release();
});

for (const pipelines of isLong ? [1, 2] : [2]) {
  test(`int8: through a server of ${pipelines} pipelines`, async () => {
    const decode = decoderOf(bundledModelDir, int8.manifest.generation.unknownTokenId ?? -1);
    await using server = await createServer({
      port: 0,
      pipelines,
      threads: 1,
      logLevel: "silent",
    });
    const random = new Random(pipelines);
    const order = random.shuffled(texts.map((_, index) => index));
    const requests: Promise<void>[] = [];
    while (order.length > 0) {
      const indexes = order.splice(0, random.int(1, 20));
      const beams = random.pick([1, 4]);
      requests.push(
        (async () => {
          const response = await fetch(`${server.url}/v1/translate`, {
            method: "POST",
            headers: { "content-type": "application/json" },
            body: JSON.stringify({
              texts: indexes.map((index) => texts[index]),
              class: random.pick(["realtime", "bulk"]),
              split: false,
              beams,
            }),
          });
          const { results } = (await response.json()) as TranslateResponse;
          for (const [place, index] of indexes.entries()) {
            const item = results[place];
            assert.ok(item !== undefined && "text" in item, JSON.stringify(item));
            const own = alone[2 * index + (beams === 4 ? 1 : 0)] ?? "";
            const [best] = JSON.parse(own) as Hypothesis[];
            assert.ok(best !== undefined);
            assert.equal(item.text, decode(best.tokenIds), texts[index]);
            assert.equal(item.score, best.score, texts[index]);
          }
        })(),
      );
    }
    await Promise.all(requests);
  });
}

/** Alone and all together; returns how many of the sentences are the same. */
async function countSame(dir: string, context: TestContext): Promise<number> {
  const model = await openModel(dir, 1);
  const own = await translateAlone(model, sentences);
  const watched = new WatchedEngine(model, { rowsMax: 256, chunkMs: 1_000 });
  watched.engine.admit("bulk", itemsOf(watched, new Random(5).shuffled(everyId())));
  await watched.finish();
  await model.release();
  const idsOf = (hypotheses: readonly Hypothesis[]) => hypotheses[0]?.tokenIds.join(" ") ?? "";
  const different = everyId().filter((itemId) => {
    const single = JSON.parse(own[itemId] ?? "[]") as Hypothesis[];
    if (idsOf(single) === idsOf(watched.hypotheses(itemId))) return false;
    const together = exactly(watched.hypotheses(itemId));
    context.diagnostic(`sentence ${itemId}: alone ${own[itemId]}, together ${together}`);
    return true;
  });
  context.diagnostic(`${sentences.length - different.length} of ${sentences.length} are the same`);
  return sentences.length - different.length;
}

test("float32: at least 99.5% of the texts, with a tiny model", async (context) => {
  await using dir = await TempDir.make();
  const config = { max_position_embeddings: inputTokensMax, max_length: 24 };
  await writeMarianFolder(dir.file("in"), { config, seed: 3 });
  await convertQuietly({ modelDir: dir.file("in"), outDir: dir.file("f32") });
  const same = await countSame(dir.file("f32"), context);
  assert.ok(same >= Math.floor(0.995 * sentences.length));
});

// The same at its full size.
if (isLong) {
  test("float32: at least 99.5% of the texts, with the bundled model's source", {
    skip: skipWithout("models", "en-zh"),
  }, async (context) => {
    await using dir = await TempDir.make();
    await convertQuietly({ modelDir: sharedPath("models", "en-zh"), outDir: dir.file("f32") });
    const same = await countSame(dir.file("f32"), context);
    assert.ok(same >= Math.floor(0.995 * sentences.length));
  });
}

// ── The graphs by themselves ────────────────────────────────────────────────────────────────────────────────────

const widths = [16, 32, 48, 64, 80, 96, 112, 128];

/** The part of `[B, heads, width, size]` that real tokens of sentence `index` fill. */
function realPart(values: Float32Array, at: { index: number; width: number; tokens: number }) {
  const { decoderHeads: heads, width: hidden } = int8.manifest.shape;
  const size = hidden / heads;
  return Array.from({ length: heads }, (_, head) => {
    const from = (at.index * heads + head) * at.width * size;
    return Buffer.from(Float32Array.from(values.subarray(from, from + at.tokens * size)).buffer);
  });
}

test("int8: the encoder's bytes depend neither on width nor on neighbours", async () => {
  const neighbours = sentences
    .filter((_, index) => index % 2 === 0)
    .map(({ tokenIds }) => tokenIds);
  for (const tokens of [1, 2, 9, 16, 17, 31]) {
    const sentence = neighbours.find(({ length }) => length === tokens);
    assert.ok(sentence !== undefined, `no sentence has ${tokens} tokens`);
    const parts = async (batch: readonly (readonly number[])[], index: number, width: number) => {
      const { keys, values } = await int8.encode(batch, width);
      return [...keys, ...values].map((each) => realPart(each, { index, width, tokens }));
    };
    const narrow = await parts([sentence], 0, padWidth(tokens));
    for (const width of widths.filter((each) => each >= tokens)) {
      const beside = neighbours.filter(({ length }) => length <= width).slice(-5);
      assert.deepEqual(await parts([sentence], 0, width), narrow, `${tokens} in ${width}`);
      const index = beside.length >> 1;
      const batch: (readonly number[])[] = beside.toSpliced(index, 0, sentence);
      assert.deepEqual(await parts(batch, index, width), narrow, `${tokens} beside ${width}`);
    }
  }
});

const topK = 9;

/** Bytes of what a step returned for the first row, and of the key and value that it wrote into the row's past. */
function firstRow({ ids, scores, badScores, badCount }: StepResult, arena: Arena): Buffer[] {
  const { heads, size } = arena.shape;
  const length = arena.lengths[0] ?? 0;
  const written = arena.layers
    .flatMap(({ pastKey, pastValue }) => [pastKey, pastValue])
    .flatMap((past) =>
      Array.from({ length: heads }, (_, head) => {
        const at = (head * arena.pastWidth + length) * size;
        return past.subarray(at, at + size);
      }),
    );
  const own = [ids.subarray(0, topK), scores.subarray(0, topK), badScores.subarray(0, badCount)];
  return [...own, ...written].map((values) => Buffer.from(values.slice().buffer));
}

/** Whatever a run reads there is seen in its results. */
function spoilBehind({ layers, lengths, count, pastWidth, shape: { heads, size } }: Arena): void {
  for (const past of layers.flatMap(({ pastKey, pastValue }) => [pastKey, pastValue])) {
    for (let block = 0; block < count * heads; block += 1) {
      const length = lengths[Math.floor(block / heads)] ?? 0;
      past.fill(Number.NaN, (block * pastWidth + length) * size, (block + 1) * pastWidth * size);
    }
  }
}

/** Feeds fixed tokens to a sentence whose neighbour has already `ahead` tokens, caches `crossWidth` wide. */
async function decoderBytes(
  sentence: readonly number[],
  company: { readonly crossWidth: number; readonly ahead: number; readonly neighbours: number },
): Promise<Buffer[][]> {
  const { shape } = int8.manifest;
  const { crossWidth, ahead, neighbours } = company;
  const arena = new Arena({
    layers: shape.decoderLayers,
    heads: shape.decoderHeads,
    size: shape.width / shape.decoderHeads,
    width: 1,
    crossWidth,
    slotsMax: 16,
  });
  const other = await int8.encode([Array.from({ length: crossWidth - 1 }, () => 7)], crossWidth);
  for (let index = 0; index < neighbours; index += 1) arena.add(other, 0, crossWidth - 1);
  const step = async (token: number) => {
    arena.reserve();
    spoilBehind(arena);
    const result = await int8.step(arena, new Int32Array(arena.count).fill(token), topK);
    const bytes = firstRow(result, arena);
    arena.advance();
    return bytes;
  };
  for (let index = 0; index < ahead; index += 1) await step(100 + index);
  const encoded = await int8.encode([sentence], padWidth(sentence.length));
  // The sentence takes the first slot, which the last neighbour's keys leave.
  if (neighbours > 0) {
    const moved = arena.add(encoded, 0, sentence.length);
    arena.remove(0);
    assert.equal(moved, neighbours);
  } else {
    arena.add(encoded, 0, sentence.length);
  }
  const bytes: Buffer[][] = [];
  for (let index = 0; index < 20; index += 1) {
    bytes.push(await step(200 + index));
  }
  return bytes;
}

test("int8: a decoder step's bytes depend on no width and no neighbour", async () => {
  for (const tokens of [1, 9, 16]) {
    const sentence = sentences.find(({ tokenIds }) => tokenIds.length === tokens)?.tokenIds;
    assert.ok(sentence !== undefined);
    const narrow = await decoderBytes(sentence, { crossWidth: 16, ahead: 0, neighbours: 0 });
    for (const company of [
      ...widths.map((crossWidth) => ({ crossWidth, ahead: 0, neighbours: 0 })),
      ...[3, 20, 40, 70].map((ahead) => ({ crossWidth: 32, ahead, neighbours: 2 })),
      { crossWidth: inputTokensMax, ahead: 50, neighbours: 13 },
    ]) {
      const bytes = await decoderBytes(sentence, company);
      assert.deepEqual(bytes, narrow, `${tokens} tokens, ${JSON.stringify(company)}`);
    }
  }
});
