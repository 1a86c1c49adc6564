/** The engine when its model, its searches or its memory fail: who fails with them, and who does not. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import type { GenerationRuns } from "#src/runtime/generation/generation-engine.js";
import { GenerationModel, type StepResult } from "#src/runtime/generation/generation-model.js";
import { warmUp } from "#src/runtime/generation/load-generation.js";
import { bundledModelDir, openModel, type Sentence, WatchedEngine } from "../support/engine.js";
import { readGeneration } from "../support/read-generation.js";

let model: GenerationModel;

before(async () => {
  model = await openModel(bundledModelDir);
});

after(async () => {
  await model.release();
});

/** The real model, whose steps are changed on their way to the engine. `count` is 1 for the first one. */
function withSteps(
  change: (result: StepResult, step: { count: number; rows: number; topK: number }) => StepResult,
): GenerationRuns {
  let count = 0;
  return {
    manifest: model.manifest,
    memoryBytes: 0,
    rest: () => model.rest(),
    release: () => Promise.resolve(),
    encode: (sentences, width) => model.encode(sentences, width),
    step: async (arena, tokens, topK) => {
      const result = await model.step(arena, tokens, topK);
      count += 1;
      return change(result, { count, rows: arena.count * arena.shape.width, topK });
    },
  };
}

/** The result with other scores in these rows. */
function spoil(
  result: StepResult,
  topK: number,
  at: { row: number; of: number; score: number },
): StepResult {
  const scores = result.scores.slice();
  scores.fill(at.score, at.row * topK, (at.row + at.of) * topK);
  return { ...result, scores };
}

/** Engines of their own, one after the other. */
async function alone(sentence: Sentence): Promise<string> {
  const watched = new WatchedEngine(model);
  watched.engine.admit("bulk", [watched.itemOf(0, sentence)]);
  await watched.finish();
  return JSON.stringify(watched.hypotheses(0));
}

/** One after the other: what a step gives is the model's own. */
async function eachAlone(sentences: readonly Sentence[]): Promise<readonly string[]> {
  const results: string[] = [];
  for (const sentence of sentences) results.push(await alone(sentence));
  return results;
}

async function runAll(
  runs: GenerationRuns,
  sentences: readonly Sentence[],
): Promise<WatchedEngine> {
  const watched = new WatchedEngine(runs);
  watched.engine.admit(
    "bulk",
    sentences.map((sentence, itemId) => watched.itemOf(itemId, sentence)),
  );
  await watched.finish();
  assert.equal(watched.outcomes.size, sentences.length, "somebody has no outcome");
  assert.deepEqual(watched.engine.begunItemIds(), []);
  return watched;
}

function codeOf(watched: WatchedEngine, itemId: number): string {
  const outcome = watched.outcomes.get(itemId);
  return outcome?.ok === false ? outcome.code : "ok";
}

const short = [82, 0];
const long = [82, 1250, 2248, 300, 4000, 17, 0];
const longer = [65, 90, 128, 1250, 999, 2248, 51, 77, 0];

for (const beams of [1, 4]) {
  for (const order of [
    [short, long, longer],
    [longer, long, short],
  ]) {
    const title = `${beams} beams, ${order[0] === short ? "first" : "last"} in the lane`;
    test(`defect 23: an item that ends where its neighbour's search throws, ${title}`, async () => {
      const settings = { beams, maxLength: 64 };
      const sentences = order.map((tokenIds) => ({ tokenIds, settings }));
      const expected = await eachAlone(sentences);
      // The step in which the short one ends is the one that spoils the row in the middle.
      const ends = order.indexOf(short);
      let endsAt = 0;
      const counting = new WatchedEngine(
        withSteps((result, { count }) => {
          endsAt = count;
          return result;
        }),
      );
      counting.engine.admit(
        "bulk",
        sentences.map((sentence, itemId) => counting.itemOf(itemId, sentence)),
      );
      while (!counting.outcomes.has(ends)) await counting.engine.step();
      assert.equal(counting.outcomes.size, 1, "the short one is not the first to end");
      const watched = await runAll(
        withSteps((result, { count, topK }) =>
          count === endsAt
            ? spoil(result, topK, { row: beams, of: beams, score: Number.NaN })
            : result,
        ),
        sentences,
      );
      assert.equal(codeOf(watched, 1), "item_failed");
      for (const itemId of [0, 2]) {
        assert.equal(JSON.stringify(watched.hypotheses(itemId)), expected[itemId]);
      }
    });
  }
}

for (const score of [Number.NaN, Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]) {
  test(`defect 13: a model that scores ${score} fails its items, and nothing hangs`, async () => {
    const sentences = [1, 1, 2, 8].map((beams) => ({ tokenIds: long, settings: { beams } }));
    const spoiled = withSteps((result, { rows, topK }) =>
      spoil(result, topK, { row: 0, of: rows, score }),
    );
    const watched = await runAll(spoiled, sentences);
    for (const itemId of sentences.keys()) assert.equal(codeOf(watched, itemId), "item_failed");
    assert.equal(watched.engine.idle, true);
  });

  test(`defect 13: a model that scores ${score} does not load`, async () => {
    const spoiled = withSteps((result, { rows, topK }) =>
      spoil(result, topK, { row: 0, of: rows, score }),
    );
    await assert.rejects(
      warmUp(spoiled, "some/folder"),
      (error) =>
        error instanceof MillraceError &&
        error.code === "model_folder_invalid" &&
        /some\/folder: the warm-up failed: the model (gave the score|permits no token)/.test(
          error.message,
        ),
    );
  });
}

test("defect 13: a warm-up whose tokens are not the model's own", async () => {
  const stray = withSteps((result) => ({ ...result, ids: result.ids.map(() => -5) }));
  await assert.rejects(warmUp(stray, "folder"), /token -5 came out/);
});

test("defect 13: a graph without the outputs that the engine reads does not load", async () => {
  const manifest = await readGeneration(bundledModelDir);
  const path = (name: "encoder" | "decoder") => `${bundledModelDir}/${manifest.files[name]}`;
  const options = { threads: 1, spin: false };
  const swapped = { encoder: path("decoder"), decoder: path("encoder") };
  await assert.rejects(
    GenerationModel.load(swapped, manifest, options),
    /the encoder graph gives no output as cross_k\.0, not float32/,
  );
  const deeper = { ...manifest, shape: { ...manifest.shape, decoderLayers: 3 } };
  const paths = { encoder: path("encoder"), decoder: path("decoder") };
  await assert.rejects(GenerationModel.load(paths, deeper, options), /no output as cross_k\.2/);
  const wide = { ...manifest, generation: { ...manifest.generation, badWords: [[2], [3]] } };
  const wrong = await GenerationModel.load(paths, wide, options);
  const watched = await runAll(wrong, [{ tokenIds: short }]);
  assert.equal(codeOf(watched, 0), "item_failed", "an output of another size is not read as zeros");
  await wrong.release();
});

test("a run that fails once fails nobody, and changes no byte", async () => {
  const sentences = [short, long, longer].map((tokenIds) => ({ tokenIds }));
  const expected = await eachAlone(sentences);
  const flaky = withSteps((result, { count }) => {
    if (count === 3) throw new RangeError("Array buffer allocation failed");
    return result;
  });
  const watched = await runAll(flaky, sentences);
  for (const itemId of sentences.keys()) {
    assert.equal(JSON.stringify(watched.hypotheses(itemId)), expected[itemId]);
  }
});

test("where there is no memory for a cache, items fail, and the next ones are served", async () => {
  const Whole = globalThis.Float32Array;
  const watched = new WatchedEngine(model);
  const sentence = { tokenIds: longer, settings: { beams: 4 } };
  const admit = (from: number) =>
    watched.engine.admit(
      "bulk",
      Array.from({ length: 6 }, (_, at) => watched.itemOf(from + at, sentence)),
    );
  admit(0);
  await watched.engine.step();
  // Nothing as large as a cache of several slots can be allocated from now on.
  globalThis.Float32Array = class extends Whole {
    constructor(length: number) {
      if (length > 50_000) throw new RangeError("Array buffer allocation failed");
      super(length);
    }
  } as Float32ArrayConstructor;
  try {
    await watched.finish();
    admit(10);
    await watched.finish();
  } finally {
    globalThis.Float32Array = Whole;
  }
  assert.equal(watched.outcomes.size, 12);
  for (let itemId = 10; itemId < 16; itemId += 1)
    assert.equal(codeOf(watched, itemId), "item_failed");
  admit(20);
  await watched.finish();
  const expected = await alone(sentence);
  for (let itemId = 20; itemId < 26; itemId += 1) {
    assert.equal(JSON.stringify(watched.hypotheses(itemId)), expected);
  }
});

test("more beams than there are rows at all: alone in the lane, and the same result", async () => {
  const sentence = { tokenIds: long, settings: { beams: 8, nBest: 8 } };
  const watched = new WatchedEngine(model, { rowsMax: 2 });
  watched.engine.admit("bulk", [
    watched.itemOf(0, { tokenIds: short }),
    watched.itemOf(1, sentence),
    watched.itemOf(2, { tokenIds: longer }),
  ]);
  await watched.finish();
  assert.equal(JSON.stringify(watched.hypotheses(1)), await alone(sentence));
  assert.equal(JSON.stringify(watched.hypotheses(2)), await alone({ tokenIds: longer }));
});

test("a cancel of what the engine does not have, or has no more, is forgotten", async () => {
  const watched = new WatchedEngine(model);
  watched.engine.cancel([1, 2, 3]);
  watched.engine.admit("bulk", [watched.itemOf(1, { tokenIds: short })]);
  await watched.finish();
  watched.engine.cancel([1]);
  watched.engine.admit("bulk", [watched.itemOf(2, { tokenIds: short })]);
  watched.engine.admit("bulk", [watched.itemOf(3, { tokenIds: short })]);
  watched.engine.cancel([3]);
  await watched.finish();
  assert.deepEqual([...watched.outcomes.keys()], [1, 2]);
});

/** No sentence ends before its last position. */
test("defect: a step asked for more candidates than a shortlist has tokens", async () => {
  const facts = { idsTensor: "output.token_ids", sentences: 1, minCount: 1, coverage: 1 } as const;
  const asked = new Set<number>();
  const runs = withSteps((result, { topK }) => {
    asked.add(topK);
    return result;
  });
  const shortlist = { ...facts, tokens: 5 };
  const watched = new WatchedEngine({ ...runs, manifest: { ...runs.manifest, shortlist } });
  watched.engine.admit("bulk", [
    watched.itemOf(0, { tokenIds: long, settings: { beams: 8, maxLength: 4 } }),
  ]);
  await watched.finish();
  assert.deepEqual([...asked], [5]);
});

const endless = (): GenerationRuns =>
  withSteps((result) => ({ ...result, ids: result.ids.map((id) => (id === 0 ? 5 : id)) }));

for (const { title, large } of [
  {
    title: "one long output among them",
    large: { tokenIds: long, settings: { maxLength: 128 } },
  },
  {
    title: "a lane of many beams",
    large: {
      tokenIds: Array.from({ length: 120 }, (_, at) => 100 + 7 * at),
      settings: { beams: 8, maxLength: 100 },
    },
  },
]) {
  test(`defect 15: memory falls while others work: ${title}`, async () => {
    const watched = new WatchedEngine(endless());
    let admitted = 0;
    /** So many runs beside four short outputs that neither begin nor end together. */
    const steady = async (count: number, others = 0) => {
      for (let run = 0; run < count; run += 1) {
        while (admitted - watched.outcomes.size < 4 + others) {
          const settings = { maxLength: 8 + (admitted % 5) };
          watched.engine.admit("bulk", [watched.itemOf(admitted, { tokenIds: long, settings })]);
          admitted += 1;
        }
        await watched.engine.step();
        assert.equal(watched.engine.idle, false, "idle, it would give everything back anyway");
      }
      return watched.engine.memoryBytes;
    };
    watched.engine.admit("bulk", [watched.itemOf(admitted, large)]);
    const largeId = admitted;
    admitted += 1;
    let most = 0;
    while (!watched.outcomes.has(largeId)) most = Math.max(most, await steady(1, 1));
    const later = await steady(200);
    const fresh = new WatchedEngine(model);
    for (let itemId = 0; itemId < 4; itemId += 1) {
      fresh.engine.admit("bulk", [fresh.itemOf(itemId, { tokenIds: long })]);
    }
    for (let run = 0; run < 8; run += 1) await fresh.engine.step();
    const usual = fresh.engine.memoryBytes;
    assert.ok(most > 3 * usual, `${most} bytes at most, ${usual} usually`);
    assert.ok(later <= 1.5 * usual, `${later} bytes later, ${usual} usually`);
  });
}

test("what the next run is predicted to take is known before it, and 0 when there is none", async () => {
  const watched = new WatchedEngine(model);
  assert.equal(watched.engine.predictedMs(), 0);
  watched.engine.admit("bulk", [watched.itemOf(0, { tokenIds: long })]);
  while (!watched.engine.idle) {
    assert.ok(watched.engine.predictedMs() > 0);
    await watched.engine.step();
  }
  assert.equal(watched.engine.predictedMs(), 0);
});
