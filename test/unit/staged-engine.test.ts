/**
 * The staged engine with a made program of three stages, against what each item's plan says: whatever fails, is cancelled
 * or comes in between, every item has one outcome and the right one, and nothing is left.
 *
 *   open (thread) ──► 0..n regions: find (session) ──► 0..n crops: read (session) ──► gather ──► gather ──► finish
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { MillraceError, type WorkClass } from "millrace-client/wire";
import { FrameDecoder } from "#src/frames/codec.js";
import { encodeFrame } from "#src/frames/encode.js";
import type { ChildFrame, FrameOutcome } from "#src/frames/messages.js";
import { parseChildFrame } from "#src/frames/shapes.js";
import type { RunAnnouncement } from "#src/runtime/engine.js";
import { startEngine } from "#src/runtime/staged/load-staged.js";
import type {
  Program,
  Stage,
  StageInput,
  StageResult,
  StageResultValue,
} from "#src/runtime/staged/program.js";
import {
  StagedEngine,
  type StagedEngineOptions,
  stagedEngineDefaults,
} from "#src/runtime/staged/staged-engine.js";
import { type Payload, valuesOnly } from "#src/work/payload.js";

type Manner = "good" | "failed" | "throws" | "short" | "nowhere";

interface Crop {
  readonly width: number;
  readonly key: string;
  readonly bytes: number;
  readonly manner: Manner;
}

interface Region extends Omit<Crop, "key"> {
  readonly crops: readonly Crop[];
  readonly gather: "strict" | "lenient" | "throws";
}

interface Plan {
  readonly manner: Manner;
  readonly regions: readonly Region[];
  readonly gather: Region["gather"];
  readonly finish: "good" | "throws" | "bigint" | "shape";
  readonly refused: boolean;
}

const crop: fc.Arbitrary<Crop> = fc.record({
  width: fc.integer({ min: 1, max: 40 }),
  key: fc.constantFrom("a", "b"),
  bytes: fc.integer({ min: 0, max: 60 }),
  manner: mannerOf(20),
});
const gather = fc.constantFrom("strict", "lenient", "lenient", "throws") as fc.Arbitrary<
  Region["gather"]
>;
const plan: fc.Arbitrary<Plan> = fc.record({
  manner: mannerOf(20),
  regions: fc.array(
    fc.record({
      width: fc.integer({ min: 1, max: 40 }),
      bytes: fc.integer({ min: 0, max: 100 }),
      manner: mannerOf(20),
      crops: fc.array(crop, { maxLength: 5 }),
      gather,
    }),
    { maxLength: 4 },
  ),
  gather,
  finish: fc.oneof(
    { weight: 8, arbitrary: fc.constant("good" as const) },
    {
      weight: 1,
      arbitrary: fc.constantFrom("throws" as const, "bigint" as const, "shape" as const),
    },
  ),
  refused: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, fc.constant(true)),
});

function mannerOf(good: number): fc.Arbitrary<Manner> {
  return fc.oneof(
    { weight: good, arbitrary: fc.constant("good" as const) },
    fc.constantFrom("failed" as const, "throws" as const, "short" as const, "nowhere" as const),
  );
}

/** What must come of an item, or null where it has failed. */
function expected({ regions, ...item }: Plan): string | null {
  if (item.refused || item.manner !== "good" || item.finish !== "good") return null;
  const texts = regions.map(({ crops, ...region }) => {
    if (region.manner !== "good") return null;
    return joined(
      crops.map(({ manner, width }) => (manner === "good" ? `${width}` : null)),
      region.gather,
    );
  });
  return joined(texts, item.gather);
}

function joined(parts: readonly (string | null)[], gather: Region["gather"]): string | null {
  if (gather === "throws" || (gather === "strict" && parts.includes(null))) return null;
  return `(${parts.map((part) => part ?? "?").join(" ")})`;
}

const limits = { open: 3, rows: 4, units: 40 };
/** No whole number: what is padded is none either. */
const unitsPerWidth = 0.53;
const options: StagedEngineOptions = { ...stagedEngineDefaults, heldBytesMax: 400, gatherMs: 0 };

class MadeProgram implements Program {
  readonly stages: readonly Stage[];
  /** Called while a run of a session is under way. */
  during: () => void = () => {};
  /** Ends one thread that is under way. */
  readonly threads: (() => void)[] = [];
  quickThreads = false;

  constructor() {
    const session = { rowsMax: limits.rows, paddedUnitsMax: limits.units };
    this.stages = [
      {
        name: "open",
        kind: "thread",
        limits: { rowsMax: limits.open, paddedUnitsMax: Number.POSITIVE_INFINITY },
        run: (inputs) => this.#open(inputs),
      },
      { name: "find", kind: "session", limits: session, run: (inputs) => this.#session(inputs) },
      { name: "read", kind: "session", limits: session, run: (inputs) => this.#session(inputs) },
    ];
  }

  begin({ values }: Payload): StageInput | string {
    const item = values["plan"] as unknown as Plan;
    if (item.refused) return "refused";
    const makesBytes = item.regions.reduce((sum, { bytes }) => sum + bytes, 0);
    return { stage: 0, cost: cost({ width: 1, bytes: 1_000 }), makesBytes, data: item };
  }

  finish(value: unknown): Payload {
    const { text, finish } = value as { readonly text: string; readonly finish: Plan["finish"] };
    if (finish === "throws") throw new Error("finish throws");
    if (finish === "bigint") return valuesOnly({ text: 1n as unknown as string });
    const data = new Float32Array(2);
    if (finish === "shape")
      return { values: {}, tensors: { t: { type: "float32", shape: [3], data } } };
    return valuesOnly({ text });
  }

  warmUp(): readonly Payload[] {
    return [];
  }

  judgeWarmUp(): string | null {
    return null;
  }

  async release(): Promise<void> {}

  async #open(inputs: readonly StageInput[]): Promise<readonly StageResult[]> {
    assert.equal(inputs.length, 1, "a thread gets one input");
    assert.ok(this.threads.length < limits.open, "too many threads");
    await new Promise<void>((resolve) => {
      if (this.quickThreads) resolve();
      else this.threads.push(resolve);
    });
    const results = inputs.map((input) => this.#result(input));
    return inputs.some(isShort) ? [] : results;
  }

  async #session(inputs: readonly StageInput[]): Promise<readonly StageResult[]> {
    this.during();
    await Promise.resolve();
    assert.equal(new Set(inputs.map(({ cost: { batchKey } }) => batchKey)).size, 1, "one key");
    const widest = Math.max(...inputs.map(({ cost: { width } }) => width));
    const padded = inputs.length * widest * unitsPerWidth;
    const fits = inputs.length <= limits.rows && padded <= limits.units + 1e-9;
    assert.ok(inputs.length === 1 || fits, `${inputs.length} inputs of ${widest}`);
    const results = inputs.map((input) => this.#result(input));
    return inputs.some(isShort) ? results.slice(1) : results;
  }

  #result({ data, stage }: StageInput): StageResult {
    const { manner } = data as Crop;
    if (manner === "throws") throw new Error("it throws");
    if (manner === "failed") {
      return { kind: "failed", error: new MillraceError("input_too_long", "it is bad") };
    }
    if (manner === "nowhere") {
      return {
        kind: "next",
        inputs: [{ stage: 7, cost: cost({ width: 1, bytes: 1 }), data }],
        gather: () => "",
      };
    }
    if (stage === 2) return { kind: "done", value: `${(data as Crop).width}` };
    const isItem = stage === 0;
    const how = (data as Region).gather;
    const parts: readonly (Region | Crop)[] = isItem
      ? (data as Plan).regions
      : (data as Region).crops;
    return {
      kind: "next",
      inputs: parts.map((part) => inputOf(part, stage + 1)),
      gather: (results: readonly StageResultValue[]) => {
        const text = joined(
          results.map((each) => (each.ok ? (each.value as string) : null)),
          how,
        );
        if (text === null) throw new Error("nothing to gather");
        return isItem ? { text, finish: (data as Plan).finish } : text;
      },
    };
  }
}

function isShort({ data }: StageInput): boolean {
  return (data as Crop).manner === "short";
}

function inputOf(part: Region | Crop, stage: number): StageInput {
  const key = "key" in part ? part.key : "";
  const makesBytes = "crops" in part ? part.crops.reduce((sum, { bytes }) => sum + bytes, 0) : 0;
  return { stage, cost: { ...cost(part), batchKey: key }, makesBytes, data: part };
}

function cost({ width, bytes }: { readonly width: number; readonly bytes: number }) {
  return { units: width * unitsPerWidth, width, rows: 1, bytes, batchKey: "" };
}

type Action =
  | { readonly kind: "admit"; readonly workClass: WorkClass; readonly plans: readonly Plan[] }
  | { readonly kind: "cancel"; readonly nth: readonly number[] }
  | { readonly kind: "recall"; readonly nth: readonly number[] }
  | { readonly kind: "thread"; readonly nth: number }
  | { readonly kind: "step" };

const nth = fc.array(fc.nat(), { minLength: 1, maxLength: 3 });
const workClass = fc.constantFrom<WorkClass>("realtime", "bulk");
const meddling: fc.Arbitrary<Action> = fc.oneof(
  fc.record({
    kind: fc.constant("admit" as const),
    workClass,
    plans: fc.array(plan, { minLength: 1, maxLength: 6 }),
  }),
  fc.record({ kind: fc.constant("cancel" as const), nth }),
  fc.record({ kind: fc.constant("recall" as const), nth }),
  fc.record({ kind: fc.constant("thread" as const), nth: fc.nat() }),
);
const action: fc.Arbitrary<Action> = fc.oneof(
  meddling,
  fc.constant<Action>({ kind: "step" }),
  fc.constant<Action>({ kind: "step" }),
);

/** A parent takes what it cannot read for the end of its child. */
function assertHeard(frame: ChildFrame): void {
  assert.equal(new FrameDecoder(parseChildFrame).push(encodeFrame(frame)).length, 1);
}

/** The engine, what it was given, and what came of it. */
class Watched {
  readonly program = new MadeProgram();
  readonly engine: StagedEngine;
  readonly plans = new Map<number, Plan>();
  readonly outcomes = new Map<number, FrameOutcome>();
  readonly withdrawn = new Set<number>();
  readonly runs: RunAnnouncement[] = [];
  readonly #bytesMax: number;
  #items = 0;

  constructor(own: Partial<StagedEngineOptions> = {}) {
    const all = { ...options, ...own };
    // What makes the most by itself may be too much, alone.
    this.#bytesMax = all.heldBytesMax + 400;
    const events = {
      onRun: (run: RunAnnouncement) => this.#onRun(run),
      onOutcomes: (some: readonly FrameOutcome[]) => this.#onOutcomes(some),
    };
    this.engine = new StagedEngine(this.program, events, all);
  }

  act(one: Action): void {
    switch (one.kind) {
      case "admit":
        this.admit(one.workClass, one.plans);
        break;
      case "cancel":
        this.cancel(one.nth.map((each) => each % (this.#items + 1)));
        break;
      case "recall":
        this.recall(one.nth.map((each) => each % (this.#items + 1)));
        break;
      case "thread":
        this.endThread(one.nth);
        break;
      case "step":
        break;
    }
    this.check();
  }

  admit(workClass: WorkClass, plans: readonly Plan[]): readonly number[] {
    const items = plans.map((each) => {
      const itemId = this.#items;
      this.#items += 1;
      this.plans.set(itemId, each);
      return { itemId, payload: { values: { plan: each as never }, tensors: {} } };
    });
    this.engine.admit(workClass, items);
    return items.map(({ itemId }) => itemId);
  }

  cancel(itemIds: readonly number[]): void {
    this.engine.cancel(itemIds);
    for (const itemId of itemIds) {
      if (this.plans.has(itemId) && !this.outcomes.has(itemId)) this.withdrawn.add(itemId);
    }
  }

  recall(itemIds: readonly number[]): void {
    const begun = new Set(this.engine.begunItemIds());
    for (const itemId of this.engine.recall(itemIds)) {
      assert.ok(!begun.has(itemId) && !this.outcomes.has(itemId), "only what has not begun");
      assert.ok(!this.withdrawn.has(itemId), "nothing twice");
      this.withdrawn.add(itemId);
    }
  }

  endThread(nth: number): void {
    const { threads } = this.program;
    threads.splice(nth % Math.max(1, threads.length), 1)[0]?.();
  }

  /** A step; threads are ended, in the order of `order`, when it waits for nothing else. */
  async step(order: number): Promise<void> {
    let ended = false;
    const step = this.engine.step().finally(() => {
      ended = true;
    });
    // Looked at below.
    step.catch(() => {});
    while (!ended) {
      await new Promise(setImmediate);
      if (!ended) this.endThread(order);
    }
    await step;
    this.check();
  }

  async finish(order = 0): Promise<void> {
    while (!this.engine.idle) await this.step(order);
    for (const [itemId, each] of this.plans) {
      const outcome = this.outcomes.get(itemId);
      if (this.withdrawn.has(itemId)) {
        assert.equal(outcome, undefined, `item ${itemId} was withdrawn and has an outcome`);
        continue;
      }
      assert.ok(outcome !== undefined, `item ${itemId} has no outcome`);
      const text = outcome.ok ? outcome.value.values["text"] : null;
      assert.equal(text, expected(each), `item ${itemId}`);
    }
    assertHeard({ type: "report", model: "m", stages: this.engine.takeReport(), cacheBytes: 0 });
    assert.equal(this.engine.memoryBytes, 0);
    assert.deepEqual(this.engine.begunItemIds(), []);
    assert.equal(this.engine.predictedMs(), 0);
    assert.equal(this.program.threads.length, 0);
  }

  check(): void {
    const { memoryBytes } = this.engine;
    assert.ok(memoryBytes >= 0 && memoryBytes <= this.#bytesMax, `${memoryBytes} bytes`);
  }

  #onRun(run: RunAnnouncement): void {
    this.runs.push(run);
    const begun = this.engine.begunItemIds();
    const { itemsBegin: _, ...told } = run;
    assertHeard({ type: "run", model: "m", ...told, begunItemIds: begun, memoryBytes: 0 });
    const held = (itemId: number): boolean =>
      !this.withdrawn.has(itemId) && !this.outcomes.has(itemId);
    assert.ok(begun.every(held), "what nobody waits for is no suspect");
    this.check();
  }

  #onOutcomes(some: readonly FrameOutcome[]): void {
    assertHeard({ type: "items", outcomes: some });
    for (const outcome of some) {
      assert.ok(!this.outcomes.has(outcome.itemId), `item ${outcome.itemId} ended twice`);
      assert.ok(!this.withdrawn.has(outcome.itemId), `item ${outcome.itemId} was withdrawn`);
      this.outcomes.set(outcome.itemId, outcome);
    }
  }
}

test("whatever fails, is cancelled or comes in between, every item has its outcome, and nothing is left", async () => {
  const schedule = fc.record({
    actions: fc.array(action, { maxLength: 30 }),
    during: fc.array(fc.option(meddling, { freq: 2 }), { maxLength: 20 }),
    order: fc.nat(),
  });
  await fc.assert(
    fc.asyncProperty(schedule, async ({ actions, during, order }) => {
      const watched = new Watched();
      const rest = [...during];
      watched.program.during = () => {
        const one = rest.shift();
        if (one !== undefined && one !== null) watched.act(one);
      };
      for (const one of actions) {
        if (one.kind === "step") await watched.step(order);
        else watched.act(one);
      }
      await watched.finish(order);
    }),
    { numRuns: 120, endOnFailure: true, includeErrorInReport: true },
  );
});

const goodCrop: Crop = { width: 8, key: "a", bytes: 10, manner: "good" };
const goodRegion: Region = {
  width: 8,
  bytes: 20,
  manner: "good",
  crops: [goodCrop],
  gather: "strict",
};
const good: Plan = {
  manner: "good",
  regions: [goodRegion],
  gather: "strict",
  finish: "good",
  refused: false,
};
const empty: Plan = { ...good, regions: [] };

test("a cancel at each moment of an item leaves nothing, and ends nobody else's", async () => {
  for (let moment = 0; moment < 12; moment += 1) {
    const watched = new Watched();
    const [mine = -1] = watched.admit("realtime", [good, good]);
    let steps = 0;
    const meddle = (): void => {
      if (steps === moment) watched.cancel([mine]);
      steps += 1;
    };
    watched.program.during = meddle;
    while (!watched.engine.idle) {
      meddle();
      await watched.step(0);
    }
    await watched.finish();
    assert.equal(watched.outcomes.has(1), true);
  }
});

test("an item that becomes nothing is gathered at once", async () => {
  const watched = new Watched();
  watched.admit("bulk", [empty]);
  await watched.finish();
  assert.deepEqual(watched.outcomes.get(0), {
    itemId: 0,
    ok: true,
    value: valuesOnly({ text: "()" }),
  });
});

test("a code that a stage names is the outcome's", async () => {
  const watched = new Watched();
  watched.admit("bulk", [{ ...good, manner: "failed" }]);
  await watched.finish();
  const outcome = watched.outcomes.get(0);
  assert.equal(outcome?.ok === false && outcome.code, "input_too_long");
});

test("what is under way in a thread is a suspect, until nobody waits for it", async () => {
  const watched = new Watched();
  watched.admit("realtime", [good, good]);
  assert.equal(watched.engine.runnable, true);
  const step = watched.engine.step();
  await new Promise(setImmediate);
  assert.equal(watched.engine.runnable, false, "only threads work");
  watched.cancel([0]);
  // A parent that has forgotten it would take an announcement with it for a lie.
  assert.deepEqual(watched.engine.begunItemIds(), [1]);
  watched.cancel([1]);
  assert.deepEqual([watched.engine.begunItemIds(), watched.engine.idle], [[], false]);
  watched.endThread(0);
  watched.endThread(0);
  await step;
  await watched.finish();
});

test("the crops of many items share runs", async () => {
  const watched = new Watched({ gatherMs: 60_000, heldBytesMax: 4_000 });
  watched.program.quickThreads = true;
  watched.admit(
    "bulk",
    Array.from({ length: 8 }, () => good),
  );
  await watched.finish();
  const read = watched.runs.filter(({ stage }) => stage === "read");
  assert.deepEqual(
    read.map(({ rows }) => rows),
    [4, 4],
  );
});

test("exceptions in each stage, two thousand times, and the capacity is what it was", async () => {
  const watched = new Watched();
  watched.program.quickThreads = true;
  const bad = { manner: "throws" } as const;
  const inRegion = { ...goodRegion, ...bad };
  const inCrop = { ...goodRegion, crops: [goodCrop, { ...goodCrop, ...bad }] };
  const plans: readonly Plan[] = [
    { ...good, ...bad },
    { ...good, regions: [goodRegion, inRegion] },
    { ...good, regions: [inCrop, goodRegion] },
    { ...good, finish: "throws" },
    good,
  ];
  // Forty at a time, as a pipeline is sent them.
  for (let round = 0; round < 50; round += 1) {
    watched.admit(
      round % 2 === 0 ? "bulk" : "realtime",
      Array.from({ length: 8 }, () => plans).flat(),
    );
    while (!watched.engine.idle) await watched.engine.step();
  }
  await watched.finish();
  assert.equal(watched.outcomes.size, 2_000);
});

test("bulk has a share of the sessions while realtime has always work", async () => {
  const watched = new Watched();
  watched.admit(
    "bulk",
    Array.from({ length: 4 }, () => good),
  );
  let realtime = 0;
  while ([0, 1, 2, 3].some((itemId) => !watched.outcomes.has(itemId))) {
    if (realtime - watched.outcomes.size < 12) {
      watched.admit(
        "realtime",
        Array.from({ length: 8 }, () => good),
      );
      realtime += 8;
    }
    await watched.step(0);
    assert.ok(realtime < 20_000, "bulk starves");
  }
  await watched.finish();
});

test("an engine is warm before anybody is served, and one that is not sane does not start", async () => {
  const runs: RunAnnouncement[] = [];
  const events = { onRun: (run: RunAnnouncement) => void runs.push(run), onOutcomes: () => {} };
  const make = (plan: Plan, judge: string | null): Program => {
    const program = new MadeProgram();
    const { stages } = program;
    return {
      stages: stages.map((stage) => ({
        ...stage,
        run: (inputs: readonly StageInput[]) => {
          const results = stage.run(inputs);
          program.threads.splice(0)[0]?.();
          return results;
        },
      })),
      begin: (payload) => program.begin(payload),
      finish: (value) => program.finish(value),
      warmUp: () => [{ values: { plan: plan as never }, tensors: {} }],
      judgeWarmUp: () => judge,
      release: () => program.release(),
    };
  };
  const engine = await startEngine(make(good, null), events);
  assert.deepEqual([engine.idle, runs.length], [true, 0]);
  await assert.rejects(
    startEngine(make(good, "all are NaN"), events),
    /warm-up failed: all are NaN/,
  );
  await assert.rejects(startEngine(make({ ...good, manner: "throws" }, null), events), /it throws/);
});
