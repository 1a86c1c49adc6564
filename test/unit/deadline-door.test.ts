/** Whom the door refuses because the deadline cannot be met: what is known of the queue, and where the line is drawn. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { DeadlineSums } from "#src/scheduler/deadline-sums.js";
import { RecentSum } from "#src/scheduler/recent-sum.js";
import { Scheduler } from "#src/scheduler/scheduler.js";
import { Throughput } from "#src/scheduler/throughput.js";
import { deadlineRefusal } from "#src/submit/local/deadline-refusal.js";

test("what waits must take twice the time that is left, and what is over already is not refused", () => {
  assert.equal(deadlineRefusal({ waitMs: 2_000, leftMs: 1_000 }), null);
  const refusal = deadlineRefusal({ waitMs: 2_001, leftMs: 1_000 });
  assert.equal(refusal?.code, "deadline_too_soon");
  assert.equal(refusal?.retryAfterMs, 1_001);
  assert.match(refusal?.message ?? "", /2\.0 s of work .* in 1\.0 s/);
  assert.equal(deadlineRefusal({ waitMs: 1e9, leftMs: 1 })?.retryAfterMs, 60_000);
  assert.equal(deadlineRefusal({ waitMs: 10, leftMs: 1 })?.retryAfterMs, 100);
  assert.equal(deadlineRefusal({ waitMs: 1e9, leftMs: 0 }), null);
  assert.equal(deadlineRefusal({ waitMs: 0, leftMs: 1 }), null);
});

test("a throughput is known after a second under load, and forgotten where pipelines come and go", () => {
  const throughput = new Throughput();
  throughput.learn(500, 500);
  assert.equal(throughput.expectedMs(100), 0);
  throughput.learn(600, 600);
  assert.ok(Math.abs(throughput.expectedMs(100) - 100) < 1e-6);
  throughput.forget();
  assert.equal(throughput.expectedMs(100), 0);
});

test("defect: a stall of a minute outweighs no ten seconds behind it, and what ends at one moment counts whole", () => {
  const throughput = new Throughput();
  throughput.learn(1, 60_000);
  for (let second = 0; second < 10; second += 1) {
    throughput.learn(400, 0);
    throughput.learn(600, 1_000);
  }
  assert.ok(throughput.expectedMs(100) < 2 * 100, "less than the door's safety");
});

test("what waits is known by a bounded number of sums, whoever comes", () => {
  const sums = new DeadlineSums();
  const recent = new RecentSum(800);
  for (let at = 0; at < 10_000; at += 1) {
    sums.add(at * 1_000, 3);
    recent.add(1, at);
  }
  assert.equal(sums.seconds, 10_000);
  for (let at = 0; at < 10_000; at += 1) sums.add(at * 1_000, -3);
  assert.equal(sums.seconds, 0, "none of work that is gone");
  assert.ok(recent.at(9_999) <= 900);
});

test("a recent sum holds all of its window, and nothing that is older than nine eighths of it", () => {
  const sum = new RecentSum(800);
  sum.add(1, 1_050);
  sum.add(2, 1_750);
  assert.equal(sum.at(1_850), 3);
  assert.equal(sum.at(1_900), 2);
  assert.equal(sum.at(1_000_000), 0);
});

test("what leaves at its own deadline is known by the second, and is gone with its items", () => {
  const sums = new DeadlineSums();
  sums.add(null, 9);
  sums.add(1_500, 3);
  sums.add(4_000, 5);
  assert.equal(sums.until(999), 0);
  assert.equal(sums.until(1_000), 3);
  assert.equal(sums.until(4_000), 8);
  sums.add(1_500, -3);
  assert.equal(sums.until(4_000), 5);
});

/** One continuous pipeline of four rows, a row a time, ten milliseconds of each unit; a queue of so many requests of ten units. */
function busy(
  count: number,
  deadlineAtMs: number | null = null,
): { scheduler: Scheduler; nowMs: number } {
  const scheduler = new Scheduler({
    policy: "millrace",
    realtimeTargetMs: 200,
    ageLimitMs: 1_000,
    prefetchRows: 0,
  });
  let nowMs = 0;
  const model = "m";
  scheduler.step(
    {
      type: "model",
      model: { model, mode: "continuous", bytes: 1, keep: "preloaded", rowsMax: 4 },
    },
    0,
  );
  const pipeline = {
    pipelineId: "p",
    kind: "shared",
    modelMemoryBytesMax: 10,
  } as const;
  scheduler.step({ type: "pipeline-up", pipeline }, 0);
  scheduler.step({ type: "loaded", pipelineId: "p", model, bytes: 1, ms: 1 }, 0);
  const sent: number[] = [];
  const step = (event: Parameters<Scheduler["step"]>[0]): void => {
    for (const decision of scheduler.step(event, nowMs))
      if (decision.type === "dispatch")
        sent.push(...decision.batch.segments.flatMap(({ itemIds }) => itemIds));
  };
  for (let requestId = 0; requestId < count; requestId += 1) {
    const item = { itemId: requestId, units: 10, width: 10, rows: 1, bytes: 1, batchKey: "" };
    const terms = { model, class: "bulk", tenant: "", deadlineAtMs, items: [item] } as const;
    step({ type: "request", request: { requestId, ...terms } });
  }
  for (let ended = 0; ended < 20; ended += 1) {
    nowMs += 100;
    const itemId = sent.shift();
    if (itemId !== undefined) step({ type: "settled", pipelineId: "p", itemId });
  }
  return { scheduler, nowMs };
}

const newcomer = { model: "m", class: "bulk", rows: 1, deadlineAtMs: 5_000 } as const;

test("what is over the age limit goes before, at the pace that was seen", () => {
  const { scheduler, nowMs } = busy(100);
  // Twenty are done and four are held.
  assert.ok(Math.abs(scheduler.leastWaitMs(newcomer, nowMs) - 7_600) < 1e-6);
  assert.equal(scheduler.leastWaitMs({ ...newcomer, class: "realtime" }, nowMs), 0, "another rank");
  assert.equal(scheduler.leastWaitMs({ ...newcomer, model: "other" }, nowMs), 0);
});

test("what will have left by itself does not count, nor is anything said after a pipeline went", () => {
  const late = busy(100, 4_000);
  assert.equal(late.scheduler.leastWaitMs(newcomer, late.nowMs), 0);
  const { scheduler, nowMs } = busy(100);
  scheduler.step({ type: "pipeline-down", pipelineId: "p" }, nowMs);
  assert.equal(scheduler.leastWaitMs(newcomer, nowMs), 0);
});
