import assert from "node:assert/strict";
import { test } from "node:test";
import { Scheduler } from "#src/scheduler/scheduler.js";
import type { RunMode } from "#src/scheduler/types.js";

const limits = {
  policy: "millrace",
  realtimeTargetMs: 200,
  ageLimitMs: 1_000,
  prefetchRows: 0,
} as const;

/** Two pipelines of eight rows that have the model. */
function withPipelines(mode: RunMode): Scheduler {
  const scheduler = new Scheduler(limits);
  const model = { model: "m", mode, bytes: 1, keep: "preloaded", rowsMax: 8 } as const;
  scheduler.step({ type: "model", model }, 0);
  assert.equal(recommended(scheduler), null, "no pipeline has it");
  for (const pipelineId of ["a", "b"]) {
    const spec = { pipelineId, kind: "shared", modelMemoryBytesMax: 10 } as const;
    scheduler.step({ type: "pipeline-up", pipeline: spec }, 0);
    scheduler.step({ type: "loaded", pipelineId, model: "m", bytes: 1, ms: 1 }, 0);
  }
  return scheduler;
}

function recommended(scheduler: Scheduler) {
  return scheduler.snapshot(0).models[0]?.recommended;
}

/** One item after the other, each through in so many milliseconds. */
function serve(scheduler: Scheduler, of: { rows: number; units: number; ms: number }): void {
  for (let at = 0; at < 20; at += 1) {
    const cost = { units: of.units, width: of.units, rows: of.rows, bytes: 0, batchKey: "" };
    const items = [{ itemId: at, ...cost }];
    const spec = {
      requestId: at,
      model: "m",
      class: "bulk",
      tenant: "",
      deadlineAtMs: null,
      items,
    };
    const request = { ...spec, class: "bulk" } as const;
    const [dispatch] = scheduler
      .step({ type: "request", request }, at * of.ms)
      .filter(({ type }) => type === "dispatch");
    assert.ok(dispatch?.type === "dispatch");
    const { pipelineId } = dispatch;
    scheduler.step({ type: "settled", pipelineId, itemId: at }, (at + 1) * of.ms);
  }
}

test("before anything ran, a request that fills a pipeline's rows, two for each, and nothing of realtime", () => {
  const scheduler = withPipelines("continuous");
  const expected = { batchItems: 8, requestsInFlight: 4, realtimeItemsInFlight: null };
  assert.deepEqual(recommended(scheduler), expected);
});

test("items of several rows make smaller requests, and the pace says what realtime may have in flight", () => {
  const scheduler = withPipelines("continuous");
  serve(scheduler, { rows: 4, units: 10, ms: 20 });
  // Two pipelines, 4 rows in 20 ms each: 10 items of 4 rows within 200 ms.
  const expected = { batchItems: 2, requestsInFlight: 4, realtimeItemsInFlight: 20 };
  assert.deepEqual(recommended(scheduler), expected);
});

test("where a batch is one run, it is as large as was learned to be best, within the realtime target", () => {
  const scheduler = withPipelines("one-shot");
  serve(scheduler, { rows: 1, units: 100, ms: 20 });
  for (let at = 0; at < 400; at += 1) {
    const paddedUnits = at % 2 === 0 ? 256 : 512;
    const measured = { model: "m", stage: "run", runs: 1, paddedUnits, ms: paddedUnits / 2.5 };
    scheduler.step({ type: "measured", ...measured }, 1_000);
  }
  // 200 ms are 500 units: of powers of two 256.
  const { batchItems } = recommended(scheduler) ?? {};
  assert.equal(batchItems, 2);
});
