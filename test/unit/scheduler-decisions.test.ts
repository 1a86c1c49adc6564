import assert from "node:assert/strict";
import { test } from "node:test";
import { SchedulerBug } from "#src/scheduler/assert.js";
import type { PolicyName } from "#src/scheduler/policy.js";
import { Scheduler } from "#src/scheduler/scheduler.js";
import type {
  Batch,
  Decision,
  PipelineCapacity,
  RequestSpec,
  SchedulerEvent,
} from "#src/scheduler/types.js";
import type { Cost } from "#src/work/cost.js";
import { isLong } from "../support/long.js";

/** A scheduler with short words for its events. Item ids are request id × 1,000 + place. */
class Bench {
  readonly scheduler: Scheduler;
  nowMs = 0;

  constructor(policy: PolicyName = "millrace", prefetchRows = 0) {
    this.scheduler = new Scheduler({
      policy,
      realtimeTargetMs: 200,
      ageLimitMs: 1_000,
      prefetchRows,
    });
  }

  step(event: SchedulerEvent): readonly Decision[] {
    return this.scheduler.step(event, this.nowMs);
  }

  /** A pipeline comes up and loads the model, as it is told to. */
  up(pipelineId: string, spec: Partial<PipelineCapacity> = {}): readonly Decision[] {
    const { model = "m", kind = "shared", mode = "continuous", rowsMax = 8 } = spec;
    this.step({ type: "model", model: { model, mode, bytes: 1, keep: "preloaded", rowsMax } });
    const pipeline = { pipelineId, kind, modelMemoryBytesMax: 10 };
    const told = this.step({ type: "pipeline-up", pipeline });
    assert.deepEqual(
      told.filter(({ type }) => type === "load"),
      [{ type: "load", pipelineId, model, rowsMax }],
    );
    return this.step({ type: "loaded", pipelineId, model, bytes: 1, ms: 1 });
  }

  request(
    requestId: number,
    spec: Partial<RequestSpec> & { tokens: readonly number[] },
  ): readonly Decision[] {
    const { tokens, ...rest } = spec;
    const items = tokens.map((each, at) => ({
      ...translated(each),
      itemId: requestId * 1_000 + at,
    }));
    const request = {
      requestId,
      model: "m",
      class: "realtime",
      tenant: "",
      deadlineAtMs: null,
    } as const;
    return this.step({ type: "request", request: { ...request, items, ...rest } });
  }

  settle(pipelineId: string, batch: Batch): readonly Decision[] {
    return itemIds(batch).flatMap((itemId) => this.step({ type: "settled", pipelineId, itemId }));
  }
}

/** What a sentence of so many tokens costs. */
function translated(tokens: number): Cost {
  return { units: tokens, width: tokens, rows: 1, bytes: 4 * tokens, batchKey: "" };
}

function itemIds(batch: Batch | undefined): number[] {
  return batch?.segments.flatMap((segment) => [...segment.itemIds]) ?? [];
}

function batches(decisions: readonly Decision[]): Batch[] {
  return decisions.flatMap((each) => (each.type === "dispatch" ? [each.batch] : []));
}

function first(decisions: readonly Decision[]): Batch {
  const [batch] = batches(decisions);
  assert.ok(batch !== undefined, "a batch is sent");
  return batch;
}

const ten = Array.from({ length: 10 }, () => 10);

test("a lone sentence on an idle pipeline leaves at once", () => {
  for (const mode of ["continuous", "one-shot"] as const) {
    const bench = new Bench();
    bench.up("p", { mode });
    const batch = first(bench.request(1, { tokens: [5] }));
    assert.deepEqual(itemIds(batch), [1_000]);
    assert.equal(batch.reason, "pipeline-free");
  }
});

test("two free pipelines share one request", () => {
  const bench = new Bench();
  bench.up("p");
  bench.up("q");
  const sent = batches(bench.request(1, { tokens: ten.slice(0, 8) }));
  assert.deepEqual(
    sent.map((batch) => batch.rows),
    [4, 4],
  );
});

test("generation: realtime has rows of its own while bulk holds all others", () => {
  const bench = new Bench("millrace", 2);
  bench.up("p");
  assert.equal(first(bench.request(1, { class: "bulk", tokens: [...ten, ...ten] })).rows, 10);
  assert.equal(first(bench.request(2, { tokens: ten.slice(0, 4) })).rows, 4);
  assert.equal(first(bench.request(3, { tokens: ten.slice(0, 4) })).rows, 4);
  assert.deepEqual(bench.request(4, { tokens: [1] }), []);
});

test("defect: a sentence does not wait behind pages that are realtime as well", () => {
  const bench = new Bench("millrace", 2);
  bench.up("p");
  const page = first(bench.request(1, { tokens: [...ten, ...ten] }));
  assert.equal(page.rows, 10);
  assert.equal(page.givesWay, true);
  const sentence = first(bench.request(2, { tokens: [3] }));
  assert.deepEqual([itemIds(sentence), sentence.givesWay], [[2_000], false]);
});

test("defect: a sentence does not give way where a pipeline has one row", () => {
  const bench = new Bench("millrace", 2);
  bench.up("p", { rowsMax: 1 });
  assert.equal(first(bench.request(1, { tokens: [3] })).givesWay, false);
});

test("defect: what gives way is no reason to put all that is small on one pipeline", () => {
  const bench = new Bench("millrace", 24);
  for (const pipelineId of ["p", "q"]) bench.up(pipelineId);
  bench.request(1, { class: "bulk", tokens: [500, 5] });
  const sent = batches(bench.request(2, { tokens: [9, 9, 9, 9] }));
  assert.deepEqual(
    sent.map(({ rows }) => rows),
    [2, 2],
  );
});

test("a page gives way neither beside bulk nor once it has waited for too long", () => {
  const beside = new Bench();
  beside.up("p");
  beside.request(1, { class: "bulk", tokens: [1] });
  assert.equal(first(beside.request(2, { tokens: ten })).givesWay, false);
  const aged = new Bench();
  aged.up("p");
  const page = first(aged.request(1, { tokens: [...ten, ...ten] }));
  aged.nowMs = 1_001;
  const next = first(aged.settle("p", page));
  assert.deepEqual([next.reason, next.givesWay], ["aged", false]);
});

test("defect: the pipeline that is asked first does not get the longest of every request", () => {
  const bench = new Bench("millrace", 24);
  for (const pipelineId of ["p", "q"]) bench.up(pipelineId);
  const units = new Map<string, number>();
  for (let requestId = 1; requestId <= 12; requestId += 1) {
    for (const each of bench.request(requestId, { tokens: [5, 10, 40, 80] })) {
      if (each.type !== "dispatch") continue;
      const { pipelineId, batch } = each;
      units.set(pipelineId, (units.get(pipelineId) ?? 0) + batch.units);
    }
  }
  const [p = 0, q = 0] = units.values();
  assert.equal(p + q, 12 * 135);
  assert.ok(Math.abs(p - q) <= 80, `${p} and ${q} units`);
});

test("one-shot: waiting bulk is recalled for realtime, which then takes its place", () => {
  const bench = new Bench();
  bench.up("p", { mode: "one-shot" });
  const [running, waiting] = batches(bench.request(1, { class: "bulk", tokens: [...ten, ...ten] }));
  assert.ok(running !== undefined && waiting !== undefined);
  const recalled = bench.request(2, { tokens: [7] });
  assert.deepEqual(recalled, [
    { type: "recall", pipelineId: "p", itemIds: itemIds(waiting).toReversed() },
  ]);
  assert.deepEqual(bench.request(3, { tokens: [7] }), [], "it is asked for once");
  const innocent = itemIds(waiting);
  const next = bench.step({ type: "returned", pipelineId: "p", innocent, groups: [] });
  assert.deepEqual(itemIds(first(next)), [2_000, 3_000]);
  const { queues } = bench.scheduler.snapshot(0);
  assert.equal(queues.find((queue) => queue.class === "bulk")?.items, 12);
});

test("bulk: neighbours in length are packed, and segments take them apart", () => {
  const bench = new Bench();
  bench.up("p", { mode: "one-shot", rowsMax: 4 });
  const blockers = [0, 1].map((at) => first(bench.request(10 + at, { tokens: [400] })));
  for (const [at, tokens] of [[100, 8, 99], [9, 101], [100]].entries())
    bench.request(1 + at, { class: "bulk", tokens });
  const batch = first(blockers.flatMap((blocker) => bench.settle("p", blocker)));
  assert.deepEqual(batch.segments, [
    { requestId: 1, itemIds: [1_002, 1_000] },
    { requestId: 2, itemIds: [2_001] },
    { requestId: 3, itemIds: [3_000] },
  ]);
  assert.equal(batch.paddedUnits, 404);
  assert.equal(batch.units, 400);
});

test("bulk: the nearest in length come first where not all fit", () => {
  const bench = new Bench();
  bench.request(1, { class: "bulk", tokens: [100] });
  for (const [at, tokens] of [60, 105, 70, 98].entries())
    bench.request(2 + at, { class: "bulk", tenant: "other", tokens: [tokens] });
  const batch = first(bench.up("p", { mode: "one-shot", rowsMax: 3 }));
  assert.deepEqual(itemIds(batch), [1_000, 3_000, 5_000]);
});

test("realtime: of the neighbours in length the oldest come first, and others stay", () => {
  const bench = new Bench();
  bench.request(1, { tokens: [50] });
  for (const [at, tokens] of [30, 12, 52, 49].entries())
    bench.request(2 + at, { tenant: "other", tokens: [tokens] });
  const batch = first(bench.up("p", { mode: "one-shot", rowsMax: 3 }));
  assert.deepEqual(itemIds(batch), [1_000, 2_000, 4_000]);
});

test("a short request overtakes a long one of its class, which overtakes it again with age", () => {
  for (const [waitedMs, expected] of [
    [50, 9_000],
    [1_001, 2_000],
  ] as const) {
    const bench = new Bench();
    bench.up("p", { rowsMax: 1 });
    const running = first(bench.request(1, { tokens: [5] }));
    bench.request(2, { tokens: [40, ...Array.from({ length: 2_000 }, () => 10)] });
    bench.nowMs += 1;
    bench.request(9, { tokens: [5] });
    bench.nowMs += waitedMs;
    const batch = first(bench.settle("p", running));
    assert.deepEqual(itemIds(batch), [expected]);
    assert.equal(batch.reason, expected === 9_000 ? "full" : "aged");
  }
});

test("of requests that are through within the realtime target, who came first goes first", () => {
  const bench = new Bench();
  bench.up("p", { rowsMax: 1 });
  const running = first(bench.request(1, { tokens: [5] }));
  bench.request(2, { tokens: [400] });
  bench.nowMs += 1;
  bench.request(3, { tokens: [5] });
  bench.nowMs += 50;
  assert.deepEqual(itemIds(first(bench.settle("p", running))), [2_000]);
});

test("tenants share a pipeline fairly, however much one of them queued before", () => {
  const bench = new Bench();
  bench.up("p", { rowsMax: 1 });
  let running = first(bench.request(1, { tenant: "robot", tokens: [...ten, ...ten] }));
  for (let person = 2; person < 8; person += 1)
    bench.request(person, { tenant: "person", tokens: [10] });
  const served: string[] = [];
  for (let turn = 0; turn < 12; turn += 1) {
    running = first(bench.settle("p", running));
    served.push(running.segments[0]?.requestId === 1 ? "robot" : "person");
  }
  assert.equal(served.filter((tenant) => tenant === "person").length, 6, served.join(" "));
  assert.equal(served.slice(0, 6).filter((tenant) => tenant === "person").length, 3);
});

test("a deadline ends what is queued and what runs, while every pipeline is busy", () => {
  const bench = new Bench();
  bench.up("p", { rowsMax: 1 });
  const sent = bench.request(1, { tokens: [5, 6], deadlineAtMs: 80 });
  assert.deepEqual(sent.at(-1), { type: "wake", atMs: 80 });
  const running = itemIds(first(sent));
  bench.nowMs = 80;
  assert.deepEqual(bench.step({ type: "tick" }), [
    { type: "expire", requestId: 1, itemIds: [1_000, 1_001] },
    { type: "cancel", pipelineId: "p", itemIds: running },
  ]);
  assert.deepEqual(
    bench.request(2, { tokens: [5] }),
    [],
    "its row is held until the pipeline lets go",
  );
  const [itemId = -1] = running;
  const next = bench.step({ type: "settled", pipelineId: "p", itemId });
  assert.deepEqual(itemIds(first(next)), [2_000]);
});

test("suspects run alone in an empty pipeline, while the other pipeline goes on", () => {
  const bench = new Bench();
  bench.up("p", { rowsMax: 2 });
  bench.up("q", { rowsMax: 2 });
  bench.up("r", { rowsMax: 2 });
  bench.request(1, { tokens: [5, 5, 5, 5, 5, 5] });
  bench.step({ type: "pipeline-down", pipelineId: "r" });
  const [last, other] = [...itemIdsOf(bench)];
  assert.ok(last !== undefined && other !== undefined);
  const groups = [[last], [other]];
  assert.deepEqual(bench.step({ type: "returned", pipelineId: "r", innocent: [], groups }), []);
  bench.request(2, { tokens: [5, 5, 5] });
  const freed = heldBy(bench, "p");
  assert.deepEqual(
    bench.step({ type: "settled", pipelineId: "p", itemId: freed[0] ?? -1 }),
    [],
    "p drains",
  );
  const fed = bench.step({ type: "settled", pipelineId: "q", itemId: heldBy(bench, "q")[0] ?? -1 });
  assert.equal(first(fed).exclusive, false, "q goes on");
  const alone = first(bench.step({ type: "settled", pipelineId: "p", itemId: freed[1] ?? -1 }));
  assert.deepEqual([alone.reason, itemIds(alone)], ["exclusive", [last]]);
  const second = first(bench.settle("p", alone));
  assert.deepEqual([second.reason, itemIds(second)], ["exclusive", [other]]);
  assert.equal(first(bench.settle("p", second)).exclusive, false, "p is fed again");
});

/** Items of request 1 in the order p, q, r got them: two each. */
function heldBy(_bench: Bench, pipelineId: "p" | "q" | "r"): number[] {
  const at = { p: 4, q: 2, r: 0 }[pipelineId];
  return [1_000 + at, 1_001 + at];
}

function itemIdsOf(bench: Bench): number[] {
  return heldBy(bench, "r");
}

test("innocent items go back to their old place", () => {
  const bench = new Bench();
  bench.up("p");
  bench.request(1, { tokens: ten.slice(0, 8) });
  bench.request(2, { tokens: ten });
  bench.step({ type: "pipeline-down", pipelineId: "p" });
  const innocent = [7, 0, 3, 5, 1, 6, 2, 4].map((at) => 1_000 + at);
  bench.step({ type: "returned", pipelineId: "p", innocent, groups: [] });
  const batch = first(bench.up("q", { rowsMax: 4 }));
  assert.deepEqual(batch.segments, [{ requestId: 1, itemIds: [1_004, 1_005, 1_006, 1_007] }]);
});

test("work without a pipeline of its kind goes to any, and without any pipeline it waits", () => {
  const bench = new Bench();
  assert.deepEqual(bench.request(1, { class: "bulk", tokens: [5] }), []);
  assert.deepEqual(itemIds(first(bench.up("p", { kind: "realtime" }))), [1_000]);
  bench.up("q", { kind: "bulk" });
  const sent = bench.request(2, { class: "bulk", tokens: [5] });
  assert.ok(sent.some((each) => each.type === "dispatch" && each.pipelineId === "q"));
});

test("an item that needs more rows than there are runs alone", () => {
  for (const mode of ["continuous", "one-shot"] as const) {
    const bench = new Bench();
    bench.up("p", { mode, rowsMax: 2 });
    const items = [{ ...translated(5), itemId: 1, rows: 8 }];
    assert.equal(first(bench.request(1, { tokens: [], items })).rows, 8);
  }
});

test("rows are the model's: a pipeline gets of each as many as it runs at once", () => {
  const bench = new Bench();
  const spec = { mode: "continuous", bytes: 1, keep: "preloaded" } as const;
  bench.step({ type: "model", model: { ...spec, model: "few", rowsMax: 4 } });
  bench.step({ type: "model", model: { ...spec, model: "many", rowsMax: 8 } });
  const pipeline = { pipelineId: "p", kind: "shared", modelMemoryBytesMax: 10 } as const;
  const loads = [...bench.step({ type: "pipeline-up", pipeline })];
  for (const model of ["few", "many"])
    loads.push(...bench.step({ type: "loaded", pipelineId: "p", model, bytes: 1, ms: 1 }));
  assert.deepEqual(loads, [
    { type: "load", pipelineId: "p", model: "few", rowsMax: 4 },
    { type: "load", pipelineId: "p", model: "many", rowsMax: 8 },
  ]);
  for (const [requestId, model, rows] of [
    [1, "few", 4],
    [2, "many", 8],
  ] as const) {
    const sent = batches(bench.request(requestId, { model, class: "bulk", tokens: ten }));
    assert.deepEqual(
      sent.map((batch) => batch.rows),
      [rows],
    );
  }
});

test("a realtime request of more rows than half of its model's is long, and gives way, whatever others run", () => {
  for (const [rowsMax, givesWay] of [
    [4, true],
    [8, false],
  ] as const) {
    const bench = new Bench();
    bench.up("p", { rowsMax });
    const other = { model: "other", mode: "continuous", bytes: 1, keep: "on-demand" } as const;
    bench.step({ type: "model", model: { ...other, rowsMax: 32 / rowsMax } });
    assert.equal(first(bench.request(1, { tokens: [10, 10, 10] })).givesWay, givesWay);
  }
});

test("a model that is announced anew keeps its rows where it was loaded, or is being loaded", () => {
  const bench = new Bench();
  const spec = { model: "m", mode: "continuous", bytes: 1, keep: "preloaded" } as const;
  bench.step({ type: "model", model: { ...spec, rowsMax: 4 } });
  const host = { kind: "shared", modelMemoryBytesMax: 10 } as const;
  bench.step({ type: "pipeline-up", pipeline: { ...host, pipelineId: "p" } });
  bench.step({ type: "model", model: { ...spec, rowsMax: 2 } });
  bench.step({ type: "loaded", pipelineId: "p", model: "m", bytes: 1, ms: 1 });
  assert.equal(first(bench.request(1, { class: "bulk", tokens: ten })).rows, 4);
  assert.equal(first(bench.up("q", { rowsMax: 2 })).rows, 2);
});

test("the seeds' router waits its window, sends 64, and nothing more until all are settled", () => {
  const bench = new Bench("seed-router");
  bench.up("p", { rowsMax: 64 });
  assert.deepEqual(bench.request(1, { tokens: [5] }), [{ type: "wake", atMs: 100 }]);
  bench.nowMs = 50;
  const batch = first(
    bench.request(2, { class: "bulk", tokens: Array.from({ length: 70 }, () => 5) }),
  );
  assert.deepEqual([batch.reason, batch.rows], ["full", 64]);
  bench.nowMs = 100;
  assert.deepEqual(batches(bench.step({ type: "tick" })), []);
  assert.equal(first(bench.settle("p", batch)).reason, "window");
});

test("the seeds' router lets a few pass many that came a little before them, and not those that came long before", () => {
  const bench = new Bench("seed-router");
  bench.up("p", { rowsMax: 64 });
  const many = Array.from({ length: 200 }, () => 5);
  const running = first(bench.request(1, { tokens: many }));
  bench.nowMs = 500;
  bench.request(2, { tokens: [5, 5] });
  const next = first(bench.settle("p", running));
  assert.deepEqual([next.rows, itemIds(next).includes(2_000)], [64, true]);
  bench.nowMs = 2_500;
  bench.request(3, { tokens: [5, 5] });
  const last = first(bench.settle("p", next));
  assert.deepEqual(
    last.segments.map(({ requestId }) => requestId),
    [1],
  );
});

test("first come, first served does not let realtime overtake", () => {
  const bench = new Bench("fcfs");
  bench.up("p", { rowsMax: 1 });
  const running = first(bench.request(1, { class: "bulk", tokens: [50] }));
  bench.request(2, { class: "bulk", tokens: [50] });
  assert.deepEqual(bench.request(3, { tokens: [5] }), [], "its rows are free, its turn is not");
  assert.deepEqual(itemIds(first(bench.settle("p", running))), [2_000]);
});

test("events that cannot be are refused loudly", () => {
  const wrong: readonly [(bench: Bench, batch: Batch) => unknown, RegExp][] = [
    [(bench) => bench.step({ type: "settled", pipelineId: "q", itemId: 1_000 }), /q speaks of/],
    [
      (bench, batch) => [bench.settle("p", batch), bench.settle("p", batch)],
      /had its outcome already/,
    ],
    [(bench) => bench.step({ type: "pipeline-down", pipelineId: "q" }), /is not up/],
    [(bench) => bench.up("p"), /came up twice/],
    [(bench) => bench.scheduler.step({ type: "tick" }, -1), /time went back/],
  ];
  for (const [event, message] of wrong) {
    const bench = new Bench();
    bench.up("p");
    const batch = first(bench.request(1, { tokens: [5] }));
    assert.throws(() => event(bench, batch), { name: "SchedulerBug", message });
  }
  const bench = new Bench();
  bench.up("p");
  bench.settle("p", first(bench.request(1, { tokens: [5] })));
  assert.deepEqual(bench.step({ type: "cancel", requestId: 1 }), [], "a caller may leave too late");
});

test("defect 26: a scheduler that was broken once refuses every later step", () => {
  const bench = new Bench();
  bench.up("p");
  assert.throws(() => bench.up("p"), /came up twice/);
  const refused = (error: unknown): boolean =>
    error instanceof SchedulerBug &&
    /broken before/.test(error.message) &&
    /came up twice/.test(String(error.cause));
  assert.throws(() => bench.request(1, { tokens: [5] }), refused);
  assert.throws(() => bench.step({ type: "tick" }), refused);
  assert.equal(bench.scheduler.snapshot(0).requests, 0, "what it held can still be looked at");
});

function leaveAll(
  { requests, count }: { readonly requests: number; readonly count: number },
  cost: (itemId: number) => Cost,
): void {
  const bench = new Bench();
  for (let requestId = 1; requestId <= requests; requestId += 1) {
    const items = Array.from({ length: count }, (_, at) => {
      const itemId = requestId * count + at;
      return { ...cost(itemId), itemId };
    });
    bench.request(requestId, { class: "bulk", tenant: `t${requestId % 9}`, tokens: [], items });
  }
  bench.nowMs += 500;
  const queue: Batch[] = batches(bench.up("p", { mode: "one-shot", rowsMax: 64 }));
  const seen = new Set<number>();
  for (let batch = queue.shift(); batch !== undefined; batch = queue.shift()) {
    for (const itemId of itemIds(batch)) seen.add(itemId);
    queue.push(...batches(bench.settle("p", batch)));
  }
  assert.equal(seen.size, requests * count);
  const { queues, requests: open } = bench.scheduler.snapshot(bench.nowMs);
  assert.equal(open, 0);
  for (const { items, units, bytes, requests: waiting, tenants } of queues)
    assert.deepEqual([items, units, bytes, waiting, tenants], [0, 0, 0, 0, 0]);
}

// As many as the door lets in, in the long run.
const itemsMost = isLong ? 100_000 : 20_000;

test(`${itemsMost} queued items all leave, once each, and nothing is left behind`, () => {
  const many = (itemId: number): Cost => translated(1 + ((itemId * 7) % 200));
  leaveAll({ requests: 1, count: itemsMost }, many);
  leaveAll({ requests: itemsMost, count: 1 }, many);
});

test("so do items of one length, and items of which each has its own batch key", () => {
  for (const [requests, count] of [
    [1, itemsMost / 5],
    [itemsMost / 5, 1],
  ] as const) {
    leaveAll({ requests, count }, () => translated(20));
    leaveAll({ requests, count }, (itemId) => ({ ...translated(20), batchKey: `${itemId}` }));
  }
});

test("a batch has one key: that of its first item, and whoever shares it comes along", () => {
  for (const policy of ["millrace", "fcfs", "seed-router"] as const) {
    const bench = new Bench(policy);
    const keyed = (requestId: number, keys: readonly string[]): void => {
      const items = keys.map((batchKey, at) => ({
        ...translated(10 + at),
        itemId: requestId * 1_000 + at,
        batchKey,
      }));
      bench.request(requestId, { tokens: [], items });
    };
    keyed(1, ["a", "b", "a"]);
    keyed(2, ["a", "a"]);
    keyed(3, ["b"]);
    bench.nowMs += 1_500;
    const batch = first(bench.up("p", { mode: "one-shot" }));
    // Strictly in order, nothing of the second request goes before the rest of the first.
    const expected = {
      fcfs: [1_000, 1_002],
      millrace: [1_000, 1_002, 2_000, 2_001],
      // The smallest request goes first.
      "seed-router": [3_000, 1_001],
    };
    assert.deepEqual(new Set(itemIds(batch)), new Set(expected[policy]), policy);
  }
});

test("suspects of several keys run one key after another, each alone", () => {
  const bench = new Bench();
  bench.up("p");
  const items = ["a", "b", "a"].map((batchKey, itemId) => ({ ...translated(9), itemId, batchKey }));
  bench.request(1, { tokens: [], items });
  bench.step({ type: "pipeline-down", pipelineId: "p" });
  bench.step({ type: "returned", pipelineId: "p", innocent: [], groups: [[0, 1, 2]] });
  const alone = first(bench.up("q"));
  assert.deepEqual([alone.exclusive, itemIds(alone)], [true, [0, 2]]);
  const next = first(bench.settle("q", alone));
  assert.deepEqual([next.exclusive, itemIds(next)], [true, [1]]);
});

test("company of another key is not waited for", () => {
  const bench = new Bench();
  bench.up("p", { mode: "one-shot" });
  const one = (requestId: number, batchKey: string): readonly Decision[] => {
    bench.nowMs += 5;
    const items = [{ ...translated(100), itemId: requestId, batchKey }];
    return bench.request(requestId, { tokens: [], items });
  };
  for (let requestId = 1; requestId < 20; requestId += 1)
    bench.settle("p", first(one(requestId, `k${requestId}`)));
  assert.deepEqual(batches(one(20, "k20")).length, 1, "though requests come every 5 ms");
});
