/** Whom the engine serves next: the pure rules, run by a toy engine in which every item takes so many steps. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { WorkClass } from "millrace-client/wire";
import { doubledWidth, padWidth } from "#src/runtime/generation/arena.js";
import {
  Choosing,
  type ChoosingLimits,
  overtakenMax,
  type RunDecision,
  type WaitingItem,
} from "#src/runtime/generation/choosing.js";

interface ToyItem extends WaitingItem {
  readonly workClass: WorkClass;
  /** Decoder runs that it takes. */
  readonly length: number;
}

interface ToyLane {
  readonly key: string;
  readonly workClass: WorkClass;
  readonly items: { readonly item: ToyItem; left: number }[];
}

const limits: ChoosingLimits = {
  rowsMax: 16,
  chunkMs: 20,
  chunkBesideRealtimeMs: 5,
  gatherMs: 20,
  bulkShare: 0.125,
};
const encodeMsPerUnit = 0.05;
const decodeMsPerRow = 0.2;

/** The engine without a model: a clock, lanes of counters. */
class ToyEngine {
  readonly limits: ChoosingLimits;
  readonly choosing: Choosing;
  readonly waiting: Record<WorkClass, ToyItem[]> = { realtime: [], bulk: [] };
  readonly lanes = new Map<string, ToyLane>();
  /** Number of the decision in which each item began, and for each class the time it was served. */
  readonly begunAt = new Map<number, number>();
  readonly servedMs: Record<WorkClass, number> = { realtime: 0, bulk: 0 };
  /** How often each item was the oldest of bulk while another one went before it. */
  readonly overtaken = new Map<number, number>();
  nowMs = 0;
  decisions = 0;
  #admitted = 0;

  constructor(own: Partial<ChoosingLimits> = {}) {
    this.limits = { ...limits, ...own };
    this.choosing = new Choosing(this.limits, {
      encodeUnitsWithin: (ms) => Math.max(1, Math.floor(ms / encodeMsPerUnit)),
      encodeMs: (units) => units * encodeMsPerUnit,
      decodeMs: (rows) => rows * decodeMsPerRow,
    });
  }

  admit(item: Partial<ToyItem> & Pick<ToyItem, "workClass">): number {
    const itemId = this.#admitted;
    this.#admitted += 1;
    const usual = { tokens: 8, rows: 1, alone: false, length: 5 };
    this.waiting[item.workClass].push({ ...usual, ...item, itemId, receivedAtMs: this.nowMs });
    return itemId;
  }

  get work() {
    const lanes = [...this.lanes.values()].map(({ key, workClass, items }) => ({
      key,
      workClass,
      rows: items.reduce((sum, { item }) => sum + item.rows, 0),
      beams: items[0]?.item.rows ?? 1,
      crossWidth: doubledWidth(items[0]?.item.tokens ?? 1),
    }));
    return { waiting: this.waiting, lanes };
  }

  rowsOf(workClass: WorkClass): number {
    const own = this.work.lanes.filter((lane) => lane.workClass === workClass);
    return own.reduce((sum, { rows }) => sum + rows, 0);
  }

  get isEmpty(): boolean {
    const { waiting, lanes } = this.work;
    const waits = waiting.realtime.length + waiting.bulk.length;
    return waits === 0 && lanes.every(({ rows }) => rows === 0);
  }

  step(): RunDecision<ToyItem> {
    const decision = this.choosing.decide(this.work, this.nowMs);
    this.check(decision);
    if (decision.kind === "idle") return decision;
    this.decisions += 1;
    const ms = decision.kind === "encode" ? this.encode(decision) : this.decode(decision.laneKey);
    this.nowMs += ms;
    this.servedMs[decision.workClass] += ms;
    this.choosing.ran(decision, ms, this.work);
    for (const lane of this.lanes.values()) {
      if (lane.items.length === 0) this.lanes.delete(lane.key);
    }
    return decision;
  }

  /** What holds for every decision. */
  check(decision: RunDecision<ToyItem>): void {
    assert.deepEqual(this.choosing.decide(this.work, this.nowMs), decision, "deciding changes");
    assert.equal(decision.kind === "idle", this.isEmpty);
    if (decision.kind === "decode") {
      const lane = this.lanes.get(decision.laneKey);
      assert.ok(lane !== undefined && lane.items.length > 0);
      assert.equal(lane.workClass, decision.workClass);
    }
    if (decision.kind !== "encode") return;
    const { chunk, workClass, width } = decision;
    this.checkLeader(decision);
    assert.equal(new Set(chunk).size, chunk.length);
    assert.ok(chunk.every((item) => this.waiting[workClass].includes(item)));
    assert.ok(chunk.every((item) => padWidth(item.tokens) === width));
    assert.ok(chunk.length === 1 || chunk.every(({ alone }) => !alone));
    const rows = this.rowsOf(workClass) + chunk.reduce((sum, item) => sum + item.rows, 0);
    const only = this.rowsOf(workClass) === 0 && chunk.length === 1;
    assert.ok(rows <= this.limits.rowsMax || only, `${rows} rows of ${workClass}`);
  }

  /** The oldest, or of bulk one that a lane has room for, which goes before the oldest, and not often. */
  checkLeader({ workClass, chunk, overtakes }: Extract<RunDecision<ToyItem>, { kind: "encode" }>) {
    const [oldest] = this.waiting[workClass];
    const [leader] = chunk;
    assert.ok(oldest !== undefined && leader !== undefined);
    assert.equal(overtakes, leader === oldest ? null : oldest.itemId);
    if (leader === oldest) return;
    assert.equal(workClass, "bulk", "realtime is served in order");
    assert.ok(!oldest.alone && !leader.alone);
    const isInLane = this.work.lanes.some(
      (lane) =>
        lane.workClass === "bulk" &&
        lane.beams === leader.rows &&
        lane.crossWidth === doubledWidth(leader.tokens),
    );
    assert.ok(isInLane, "what goes before the oldest fits into a lane that runs");
    const times = this.overtaken.get(oldest.itemId) ?? 0;
    assert.ok(times < overtakenMax, `item ${oldest.itemId} was overtaken ${times} times`);
  }

  encode({
    chunk,
    workClass,
    width,
    overtakes,
  }: Extract<RunDecision<ToyItem>, { kind: "encode" }>) {
    if (overtakes !== null) this.overtaken.set(overtakes, (this.overtaken.get(overtakes) ?? 0) + 1);
    this.waiting[workClass] = this.waiting[workClass].filter((item) => !chunk.includes(item));
    for (const item of chunk) {
      this.begunAt.set(item.itemId, this.decisions);
      const key = item.alone
        ? `alone:${item.itemId}`
        : `${workClass}:${item.rows}:${doubledWidth(width)}`;
      const lane = this.lanes.get(key) ?? { key, workClass, items: [] };
      this.lanes.set(key, lane);
      lane.items.push({ item, left: item.length });
    }
    return chunk.length * width * encodeMsPerUnit;
  }

  decode(laneKey: string): number {
    const lane = this.lanes.get(laneKey);
    assert.ok(lane !== undefined);
    const rows = lane.items.reduce((sum, { item }) => sum + item.rows, 0);
    for (const each of lane.items) each.left -= 1;
    const still = lane.items.filter(({ left }) => left > 0);
    lane.items.splice(0, lane.items.length, ...still);
    return rows * decodeMsPerRow;
  }
}

const workClasses = fc.constantFrom<WorkClass>("realtime", "bulk");
const lengthMax = 20;
const anyItem = fc.record({
  workClass: workClasses,
  tokens: fc.integer({ min: 1, max: 64 }),
  rows: fc.integer({ min: 1, max: 8 }),
  length: fc.integer({ min: 1, max: lengthMax }),
  alone: fc.boolean().map((flag) => flag),
});
const rowsMax = fc.constantFrom(1, 3, 8, 16, 64);

test("every decision keeps the rules, and everything ends", () => {
  fc.assert(
    fc.property(
      rowsMax,
      fc.array(fc.array(anyItem, { maxLength: 4 }), { maxLength: 60 }),
      (rows, arrivals) => {
        const toy = new ToyEngine({ rowsMax: rows });
        let admitted = 0;
        for (const items of arrivals) {
          for (const item of items) toy.admit(item);
          admitted += items.length;
          toy.step();
        }
        for (let step = 0; !toy.isEmpty; step += 1) {
          assert.ok(step < 4 * lengthMax * (admitted + 1), "it does not end");
          toy.step();
        }
        assert.equal(toy.begunAt.size, admitted);
      },
    ),
    { numRuns: 300 },
  );
});

test("whoever waits begins within a bounded number of decisions, whatever keeps coming", () => {
  fc.assert(
    fc.property(rowsMax, anyItem, fc.array(anyItem, { minLength: 1, maxLength: 12 }), (...all) => {
      const [rows, item, stream] = all;
      const toy = new ToyEngine({ rowsMax: rows });
      for (const each of stream) toy.admit(each);
      for (let step = 0; step < 50; step += 1) toy.step();
      const ahead = toy.waiting.bulk.length + toy.waiting.realtime.length;
      const itemId = toy.admit(item);
      const from = toy.decisions;
      for (let step = 0; !toy.begunAt.has(itemId); step += 1) {
        // As many come as go: the load is steady, and above what the rows can take.
        if (toy.waiting.bulk.length < 20)
          toy.admit({ ...stream[step % stream.length], workClass: "bulk" });
        if (toy.waiting.realtime.length < 20)
          toy.admit({ ...stream[step % stream.length], workClass: "realtime" });
        toy.step();
        // Those before it, each as long as it may be, lane by lane, with an eighth of the time for bulk, and overtaken.
        const bound = (1 + overtakenMax) * 8 * 8 * lengthMax * (ahead + 2);
        assert.ok(toy.decisions - from < bound, `it waits for ${bound} decisions`);
      }
    }),
    { numRuns: 100 },
  );
});

test("realtime goes before bulk, and bulk keeps its share", () => {
  for (const bulkShare of [0.125, 0.3]) {
    const toy = new ToyEngine({ bulkShare });
    for (let step = 0; step < 5_000; step += 1) {
      while (toy.waiting.bulk.length < 30) toy.admit({ workClass: "bulk" });
      while (toy.waiting.realtime.length < 30) toy.admit({ workClass: "realtime" });
      toy.step();
    }
    const { realtime, bulk } = toy.servedMs;
    const share = bulk / (realtime + bulk);
    // An encoder chunk may take more than was owed: that is asked back.
    assert.ok(share > 0.95 * bulkShare && share < 1.05 * bulkShare, `bulk had ${share}`);
  }
});

test("a realtime sentence that comes while only bulk runs is next", () => {
  const toy = new ToyEngine();
  for (let item = 0; item < 16; item += 1) toy.admit({ workClass: "bulk", length: 50 });
  for (let step = 0; step < 10; step += 1) toy.step();
  toy.admit({ workClass: "realtime" });
  const decision = toy.step();
  assert.deepEqual(
    [decision.kind, "workClass" in decision && decision.workClass],
    ["encode", "realtime"],
  );
});

test("a realtime sentence waits for company while many others generate, but not long", () => {
  const toy = new ToyEngine({ rowsMax: 64 });
  for (let item = 0; item < 40; item += 1) toy.admit({ workClass: "realtime", length: 1_000 });
  while (toy.waiting.realtime.length > 0) toy.step();
  const itemId = toy.admit({ workClass: "realtime" });
  const admittedAtMs = toy.nowMs;
  toy.step();
  assert.ok(!toy.begunAt.has(itemId), "one sentence is not worth an encoder run");
  while (toy.nowMs - admittedAtMs < limits.gatherMs) toy.step();
  toy.step();
  assert.ok(toy.begunAt.has(itemId));
});

test("a realtime sentence beside a few waits no longer than its run would hold them up", () => {
  const toy = new ToyEngine({ rowsMax: 64, gatherMs: 1_000 });
  for (let item = 0; item < 5; item += 1) toy.admit({ workClass: "realtime", length: 1_000 });
  while (toy.waiting.realtime.length > 0) toy.step();
  const itemId = toy.admit({ workClass: "realtime" });
  const admittedAtMs = toy.nowMs;
  toy.step();
  assert.ok(!toy.begunAt.has(itemId), "five wait for the run of one");
  while (toy.nowMs - admittedAtMs < 5 * 16 * encodeMsPerUnit) toy.step();
  toy.step();
  assert.ok(toy.begunAt.has(itemId));
});

test("defect: sentences that came one by one were encoded one by one, beside dozens that generated", () => {
  const toy = new ToyEngine({ rowsMax: 64 });
  for (let item = 0; item < 32; item += 1) toy.admit({ workClass: "realtime", length: 1_000 });
  while (toy.waiting.realtime.length > 0) toy.step();
  let chunk = 0;
  while (chunk === 0) {
    if (toy.waiting.realtime.length < 20) toy.admit({ workClass: "realtime" });
    const decision = toy.step();
    if (decision.kind === "encode") ({ length: chunk } = decision.chunk);
  }
  // One a step of 6.4 ms would be one by one with what was 5 ms.
  assert.ok(chunk >= 3, `${chunk} together`);
});

test("an item with more beams than free rows is not overtaken for ever", () => {
  const toy = new ToyEngine({ rowsMax: 8 });
  for (let item = 0; item < 6; item += 1) toy.admit({ workClass: "bulk", length: 12 });
  toy.step();
  const wide = toy.admit({ workClass: "bulk", rows: 8 });
  for (let step = 0; !toy.begunAt.has(wide); step += 1) {
    assert.ok(step < 30 * (1 + overtakenMax), "those that need one row overtake it");
    toy.admit({ workClass: "bulk", length: 12 });
    toy.step();
  }
});

test("defect: an item that finds nobody waiting, but a lane that runs, is overtaken no more often than promised", () => {
  const lane = { key: "16", workClass: "bulk", rows: 8, beams: 1, crossWidth: 16 } as const;
  const item = (itemId: number, tokens: number) => ({
    itemId,
    tokens,
    rows: 1,
    receivedAtMs: itemId,
    alone: false,
  });
  const bulk = [item(0, 8)];
  const work = { waiting: { realtime: [], bulk }, lanes: [lane] };
  const costs = { encodeUnitsWithin: () => 16, encodeMs: () => 1, decodeMs: () => 2 };
  const choosing = new Choosing({ ...limits, rowsMax: 64 }, costs);
  const nextChunk = (): readonly number[] => {
    for (;;) {
      const decision = choosing.decide(work, 0);
      assert.ok(decision.kind !== "idle");
      if (decision.kind === "encode")
        for (const each of decision.chunk) bulk.splice(bulk.indexOf(each), 1);
      choosing.ran(decision, 1, work);
      if (decision.kind === "encode") return decision.chunk.map(({ itemId }) => itemId);
    }
  };
  assert.deepEqual(nextChunk(), [0]);
  bulk.push(item(1, 100), ...Array.from({ length: 20 }, (_, at) => item(2 + at, 8)));
  let times = 0;
  while (!nextChunk().includes(1)) times += 1;
  assert.equal(times, overtakenMax);
});

test("an item with more beams than there are rows at all runs alone", () => {
  const toy = new ToyEngine({ rowsMax: 2 });
  toy.admit({ workClass: "bulk" });
  toy.step();
  const wide = toy.admit({ workClass: "bulk", rows: 8 });
  while (!toy.begunAt.has(wide)) toy.step();
  assert.equal(toy.rowsOf("bulk"), 8);
});

test("every lane of a class has its turn, also while the other class runs in between", () => {
  const toy = new ToyEngine({ rowsMax: 64 });
  const forEver = 1e9;
  for (const workClass of ["bulk", "realtime"] as const) {
    for (const rows of [1, 2, 4, 8]) toy.admit({ workClass, rows, length: forEver });
  }
  const turns = new Map<string, number>();
  for (let step = 0; step < 4_000; step += 1) {
    const decision = toy.step();
    if (decision.kind !== "decode") continue;
    turns.set(decision.laneKey, (turns.get(decision.laneKey) ?? 0) + 1);
  }
  assert.equal(turns.size, 8);
  for (const workClass of ["bulk", "realtime"]) {
    const own = [...turns].filter(([key]) => key.startsWith(workClass)).map(([, count]) => count);
    assert.ok(
      Math.max(...own) - Math.min(...own) <= 1,
      `${workClass} lanes had ${own.join()} turns`,
    );
  }
});
