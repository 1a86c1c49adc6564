/** The spans of batches, from what the scheduler and the pool tell. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Batch } from "#src/scheduler/types.js";
import { VirtualClock } from "#src/simulation/virtual-clock.js";
import { BatchSpans } from "#src/submit/local/batch-spans.js";
import { RequestSpans } from "#src/submit/local/request-spans.js";
import { KeptSpans } from "../support/kept-spans.js";

function batchOf(batchId: number, ...requests: readonly (readonly number[])[]): Batch {
  return {
    batchId,
    model: "m@1",
    class: "realtime",
    givesWay: false,
    reason: "full",
    exclusive: false,
    segments: requests.map((itemIds, at) => ({ requestId: at + 1, itemIds })),
    rows: 1,
    units: 5,
    paddedUnits: 6,
    waitedMs: 1,
  };
}

const stage = (name: string, runs: number) => ({
  stage: name,
  runs,
  rows: runs,
  ms: runs,
  units: runs,
  paddedUnits: runs,
  sizes: [],
});

test("a batch ends with its last item, and waits for the report behind it", () => {
  const clock = new VirtualClock();
  const kept = new KeptSpans(clock);
  const batches = new BatchSpans(clock);
  const [one, other] = [kept.begin("one"), kept.begin("other")];
  const of = { pipelineId: "p", modelName: "m" };
  batches.dispatched({ ...of, batch: batchOf(1, [1, 2], [3]), requests: new Set([one, other]) });
  clock.skip(10);
  batches.measured("p", "m@1", [stage("encode", 1), stage("decode", 2)]);
  batches.settled(1);
  batches.settled(2);
  clock.skip(10);
  batches.settled(3);
  batches.settled(3);
  clock.skip(5);
  assert.deepEqual(kept.ended(), []);
  batches.measured("other pipeline", "m@1", [stage("decode", 9)]);
  batches.measured("p", "m@1", [stage("decode", 3)]);
  const told = kept.ended().map(({ name, fromMs, toMs }) => [name, fromMs, toMs]);
  assert.deepEqual(told, [
    ["stage encode", 0, 10],
    ["stage decode", 0, 20],
    ["batch", 0, 20],
  ]);
  const [, decode, batch] = kept.ended();
  assert.equal(decode?.attributes["millrace.stage.runs"], 5);
  assert.deepEqual(batch?.links, [one.context, other.context]);
  assert.equal(batch?.parent, null, "of several requests");
  assert.deepEqual(one.links, [batch?.context]);
  // Nothing is left of it.
  assert.equal(clock.advance(), false, "no timer is left");
  batches.close();
  assert.equal(kept.ended().length, 3);
});

test("a batch of one request is below it; where no report comes it ends after a while", () => {
  const clock = new VirtualClock();
  const kept = new KeptSpans(clock);
  const batches = new BatchSpans(clock);
  const request = kept.begin("one");
  const of = { pipelineId: "p", modelName: "m" };
  batches.dispatched({ ...of, batch: batchOf(1, [1]), requests: new Set([request]) });
  clock.skip(3);
  batches.settled(1);
  assert.ok(clock.advance());
  const [batch] = kept.ended();
  assert.deepEqual([batch?.name, batch?.toMs, batch?.parent], ["batch", 3, request]);
});

test("a batch whose pipeline is lost fails when its items are given back, and waits for nobody", () => {
  const clock = new VirtualClock();
  const kept = new KeptSpans(clock);
  const batches = new BatchSpans(clock);
  const request = kept.begin("one");
  const of = { pipelineId: "p", modelName: "m" };
  batches.dispatched({ ...of, batch: batchOf(1, [1, 2]), requests: new Set([request]) });
  batches.settled(1);
  batches.gone("p");
  assert.deepEqual(kept.ended(), []);
  batches.settled(2);
  const [batch] = kept.ended();
  assert.deepEqual([batch?.name, batch?.error], ["batch", "worker_lost"]);
  // Another one has it now.
  batches.dispatched({ ...of, batch: batchOf(2, [2]), requests: new Set([request]) });
  batches.close();
  assert.equal(kept.ended().length, 2);
});

test("a request that ends early ends in the phase that it was in", () => {
  const clock = new VirtualClock();
  const kept = new KeptSpans(clock);
  const request = kept.begin("one");
  const told = { task: "t", model: "m", class: "bulk", tenant: "a", inputs: 2 } as const;
  const refused = new RequestSpans(request, 0);
  refused.ended(4, "queue_full");
  const late = new RequestSpans(request, 4);
  late.queued(told, 6);
  late.ended(9, "deadline_exceeded");
  const done = new RequestSpans(request, 10);
  done.queued(told, 11);
  assert.equal(done.sent(12), done.sent(15), "one span, however often items are sent");
  done.inputFailed();
  done.ended(20);
  const ended = kept.ended().map(({ name, fromMs, toMs, error }) => [name, fromMs, toMs, error]);
  assert.deepEqual(ended, [
    ["prepare", 0, 4, "queue_full"],
    ["prepare", 4, 6, null],
    ["queue", 6, 9, "deadline_exceeded"],
    ["prepare", 10, 11, null],
    ["queue", 11, 12, null],
    ["compute", 12, 20, null],
  ]);
  assert.equal(request.attributes["millrace.inputs.failed"], 1);
  assert.equal(request.attributes["millrace.model"], "m");
});
