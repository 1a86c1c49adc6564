/** Every setting at both ends of its range, and beyond it, through a real worker process: it may not cost the worker. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { translateLimits } from "millrace-client/wire";
import type { FrameItem } from "#src/frames/messages.js";
import {
  type GenerationInput,
  type GenerationSettings,
  generationPayload,
  readHypotheses,
} from "#src/work/generation.js";
import type { PipelineSpec } from "#src/worker/pipeline.js";
import { Pool } from "#src/worker/pool.js";
import { bundledModelDir } from "../support/engine.js";
import { someOf } from "../support/long.js";
import { EventLog, quickOptions, quiet } from "../support/pool.js";
import { readGeneration } from "../support/read-generation.js";

const limit = { timeout: 120_000 };
const { beamsMax } = translateLimits;

/** One pipeline on the bundled model. */
class RealPipeline implements AsyncDisposable {
  readonly events: EventLog = new EventLog();
  readonly pool: Pool;

  constructor() {
    const spec: PipelineSpec = {
      pipelineId: "p0",
      kind: "shared",
      threads: 1,
      modelMemoryBytesMax: 1e9,
    };
    const entry = fileURLToPath(import.meta.resolve("#src/runtime/entry.js"));
    const options = { entry, log: quiet, pipelines: [spec], ...quickOptions };
    this.pool = new Pool(options, (event) => this.events.push(event));
    this.pool.start();
  }

  /** What became of each, by id; fails where the worker did not live to tell. */
  async run(items: readonly FrameItem[]) {
    await this.events.next("up");
    this.pool.load("p0", { model: "en-zh", modelDir: bundledModelDir, rowsMax: 64 });
    await this.events.next("loaded");
    this.pool.dispatch("p0", { batchId: 1, model: "en-zh", class: "bulk", items });
    const outcomes = new Map<number, Awaited<ReturnType<typeof this.outcome>>>();
    while (outcomes.size < items.length) {
      const outcome = await this.outcome();
      outcomes.set(outcome.itemId, outcome);
    }
    const [status] = this.pool.snapshot();
    assert.deepEqual([status?.restarts, status?.state], [0, "ready"]);
    return outcomes;
  }

  async outcome() {
    const event = await Promise.race([
      this.events.next("outcome"),
      this.events.next("down").then(({ reason }) => assert.fail(`the worker was lost: ${reason}`)),
    ]);
    return event.outcome;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.pool.stop({ drainMs: 0 });
  }
}

/** All corners of what a caller may ask for. */
function corners(positions: number): GenerationInput[] {
  const long = Array.from({ length: positions - 1 }, (_, at) => 100 + 7 * at);
  const inputs: GenerationInput[] = [];
  for (const beams of [1, 2, beamsMax]) {
    for (const nBest of new Set([1, beams])) {
      for (const lengthPenalty of [-10, -1, 0, 1, 10]) {
        for (const maxLength of [2, 3, positions]) {
          for (const tokenIds of [[0], [82, 0], [...long, 0]]) {
            inputs.push({ tokenIds, settings: { beams, nBest, lengthPenalty, maxLength } });
          }
        }
      }
    }
  }
  return inputs;
}

test(
  "defect 1: every corner of the accepted settings has a result, and costs no worker",
  limit,
  async () => {
    const { shape } = await readGeneration(bundledModelDir);
    await using pipeline = new RealPipeline();
    const inputs = someOf(corners(shape.positions), 3);
    const outcomes = await pipeline.run(
      inputs.map((input, itemId) => ({ itemId, payload: generationPayload(input) })),
    );
    for (const [itemId, { settings, tokenIds }] of inputs.entries()) {
      const outcome = outcomes.get(itemId);
      const about = `${tokenIds.length} tokens, ${JSON.stringify(settings)}`;
      assert.ok(outcome?.ok === true, `${about}: ${JSON.stringify(outcome)}`);
      const hypotheses = readHypotheses(outcome.value);
      assert.ok(hypotheses !== null, `${about}: not finite, or nothing`);
      assert.ok(hypotheses.length <= settings.nBest, about);
      for (const { tokenIds: ids } of hypotheses) assert.ok(ids.length < settings.maxLength, about);
    }
  },
);

test("values that no door lets in fail their own items, and cost no worker", limit, async () => {
  const { shape } = await readGeneration(bundledModelDir);
  const usual = { beams: 2, nBest: 1, lengthPenalty: 1, maxLength: 8 };
  const wrong: Partial<GenerationSettings>[] = [
    { beams: beamsMax + 1 },
    { beams: 2 ** 40 },
    { nBest: 3 },
    { maxLength: 1 },
    { maxLength: shape.positions + 1 },
    { maxLength: 2 ** 40 },
    { lengthPenalty: 1e308 },
    { lengthPenalty: -1e308 },
  ];
  const tokens = [
    [-1],
    [shape.sourceVocabulary],
    [2 ** 31 - 1],
    Array.from({ length: shape.positions + 1 }, () => 5),
  ];
  const bad = [
    ...wrong.map((settings) =>
      generationPayload({ tokenIds: [82, 0], settings: { ...usual, ...settings } }),
    ),
    ...tokens.map((tokenIds) => generationPayload({ tokenIds, settings: usual })),
    generationPayload({ tokenIds: [], settings: usual }),
    { values: {}, tensors: {} },
  ];
  const good = generationPayload({ tokenIds: [82, 1250, 0], settings: usual });
  await using pipeline = new RealPipeline();
  const items = bad.flatMap((payload, index) => [
    { itemId: 2 * index, payload },
    { itemId: 2 * index + 1, payload: good },
  ]);
  const outcomes = await pipeline.run(items);
  for (const { itemId, payload } of items) {
    const outcome = outcomes.get(itemId);
    const expected = payload === good ? "ok" : "item_failed";
    const found = outcome?.ok === true ? "ok" : outcome?.code;
    assert.equal(found, expected, JSON.stringify(payload.values));
  }
});
