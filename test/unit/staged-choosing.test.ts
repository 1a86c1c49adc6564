/** Which run of a stage is next, and who shares it: the pure rules. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { WorkClass } from "millrace-client/wire";
import {
  StageChoosing,
  type StagedLimits,
  type StagedWork,
  type StageForm,
  type WaitingInput,
} from "#src/runtime/staged/choosing.js";
import { pack } from "#src/runtime/staged/packing.js";

const limits: StagedLimits = {
  rowsMax: 64,
  realtimeRunMs: 50,
  bulkRunMs: 100,
  bulkBesideRealtimeMs: 10,
  bulkShare: 0.125,
  gatherMs: 200,
  heldBytesMax: 1_000,
};
const session = { rowsMax: 8, paddedUnitsMax: 1_000 };
const forms: readonly StageForm[] = [
  { kind: "thread", limits: { rowsMax: 2, paddedUnitsMax: 1_000 } },
  { kind: "session", limits: session },
  { kind: "session", limits: session },
];

function input(own: Partial<WaitingInput & WaitingInput["cost"]> = {}): WaitingInput {
  const { units, width = 10, rows = 1, bytes = 0, batchKey = "", ...rest } = own;
  const cost = { units: units ?? width, width, rows, bytes, batchKey };
  return { makesBytes: 0, isFirst: false, sinceMs: 0, group: null, ...rest, cost };
}

type Queues = Partial<Record<WorkClass, readonly WaitingInput[]>>;

function work(
  queues: readonly Queues[],
  own: Partial<Omit<StagedWork<WaitingInput>, "stages">> = {},
): StagedWork<WaitingInput> {
  const none = { rows: 0, units: 0 };
  const stages = forms.map((_, stage) => ({
    waiting: { realtime: [], bulk: [], ...queues[stage] },
    busy: { realtime: none, bulk: none },
  }));
  return { heldBytes: 0, running: 0, ...own, stages };
}

/** A unit takes a tenth of a millisecond. */
function choosing(own: Partial<StagedLimits> = {}): StageChoosing {
  return new StageChoosing(
    forms,
    { ...limits, ...own },
    {
      unitsWithin: (_, ms) => Math.max(1, ms * 10),
      predictMs: (_, units) => units / 10,
    },
  );
}

test("realtime before bulk, and the later stage before the earlier", () => {
  const [early, late, bulk] = [input(), input(), input()];
  const run = choosing().decide(
    work([{}, { realtime: [early] }, { realtime: [late], bulk: [bulk] }]),
    0,
  );
  assert.deepEqual([run?.stage, run?.workClass, run?.chunk], [2, "realtime", [late]]);
});

test("bulk is owed its share while realtime runs, and takes it in short runs", () => {
  const chooser = choosing();
  const many = Array.from({ length: 8 }, () => input({ width: 90 }));
  const both = work([{}, {}, { realtime: many, bulk: many }]);
  const served: Record<WorkClass, number> = { realtime: 0, bulk: 0 };
  for (let runs = 0; runs < 1_000; runs += 1) {
    const run = chooser.decide(both, 0);
    assert.ok(run !== null);
    assert.deepEqual(chooser.decide(both, 0), run, "deciding changes nothing");
    const ms = run.paddedUnits / 10;
    assert.ok(ms <= (run.workClass === "bulk" ? 10 : 50), `${run.workClass} for ${ms} ms`);
    served[run.workClass] += ms;
    chooser.ran(run, ms, both);
  }
  const share = served.bulk / (served.bulk + served.realtime);
  assert.ok(share > 0.11 && share < 0.14, `bulk has ${share}`);
});

test("a bulk run that is not full waits for more, but not long, and not where too much is held", () => {
  const [few, more] = [[input({ bytes: 10 })], [input({ bytes: 10 })]];
  const both = (own = {}) => work([{}, { bulk: more }, { bulk: few }], own);
  const stageOf = (own: object, nowMs: number) => choosing().decide(both(own), nowMs)?.stage;
  assert.equal(stageOf({}, 0), 1, "it gathers");
  assert.equal(stageOf({}, 200), 2, "it has waited");
  assert.equal(stageOf({ heldBytes: 250 }, 0), 2, "a quarter is held");
  assert.equal(choosing().decide(work([{}, {}, { bulk: few }]), 0)?.stage, 2, "nothing else runs");
  const full = Array.from({ length: 8 }, () => input());
  assert.equal(choosing().decide(work([{}, { bulk: more }, { bulk: full }]), 0)?.stage, 2, "full");
});

test("what begins waits while too much is held; what is begun goes on, one at a time", () => {
  const first = input({ isFirst: true, makesBytes: 100 });
  const begun = input({ makesBytes: 100 });
  const at = (one: WaitingInput, heldBytes: number, running = 0) =>
    choosing().decide(work([{}, { realtime: [one, { ...one }] }], { heldBytes, running }), 0)?.chunk
      .length;
  assert.deepEqual(
    [at(first, 0), at(first, 800), at(first, 900), at(first, 901)],
    [2, 2, 1, undefined],
  );
  assert.deepEqual([at(begun, 800), at(begun, 5_000), at(begun, 5_000, 1)], [2, 1, undefined]);
  const huge = input({ isFirst: true, makesBytes: 1e9 });
  assert.deepEqual([at(huge, 0), at(huge, 1)], [1, undefined]);
  assert.equal(
    at(input({ isFirst: true }), 1_000),
    undefined,
    "also where nobody knows what it makes",
  );
});

test("bulk fills half of what may be held, so that realtime finds room", () => {
  const first = input({ isFirst: true, makesBytes: 100 });
  const next = (queues: Queues, heldBytes: number) =>
    choosing().nextStart(work([queues], { heldBytes }))?.workClass;
  assert.equal(next({ bulk: [first] }, 400), "bulk");
  assert.equal(next({ bulk: [first] }, 401), undefined);
  assert.equal(next({ bulk: [first], realtime: [first] }, 401), "realtime");
});

test("a thread stage has so many under way, and bulk a share of the starts", () => {
  const chooser = choosing();
  const queues = work([{ realtime: [input()], bulk: [input()] }]);
  const starts = Array.from({ length: 80 }, () => {
    const start = chooser.nextStart(queues);
    assert.ok(start !== null);
    chooser.started(start, queues);
    return start.workClass;
  });
  assert.equal(starts.filter((workClass) => workClass === "bulk").length, 10);
  const [stage] = queues.stages;
  assert.ok(stage !== undefined);
  const busy = { realtime: { rows: 2, units: 20 }, bulk: { rows: 0, units: 0 } };
  assert.equal(chooser.nextStart({ ...queues, stages: [{ ...stage, busy }] }), null);
});

test("a group runs by itself, and before those behind it", () => {
  const group = [input({ group: 1 }), input({ group: 1 })];
  const queues = work([{}, { bulk: [...group, input({ group: 2 }), input()] }]);
  assert.deepEqual(choosing().decide(queues, 0)?.chunk, group);
});

test("packing: the leader, whatever its size; one key; limits and padding kept; nobody like them left out", () => {
  const one = fc.record({
    width: fc.integer({ min: 1, max: 60 }),
    rows: fc.integer({ min: 1, max: 3 }),
    batchKey: fc.constantFrom("a", "b"),
  });
  const bounds = { rowsMax: 8, paddedUnitsMax: 200 };
  fc.assert(
    fc.property(fc.array(one, { minLength: 1, maxLength: 30 }), (costs) => {
      const inputs = costs.map((cost) => input({ ...cost, units: cost.width * cost.rows }));
      const [leader] = inputs;
      assert.ok(leader !== undefined);
      const { chunk, rows, width, paddedUnits, full } = pack(leader, inputs, bounds);
      assert.equal(chunk[0], leader);
      assert.equal(new Set(chunk).size, chunk.length);
      assert.ok(chunk.every(({ cost }) => cost.batchKey === leader.cost.batchKey));
      assert.equal(
        rows,
        chunk.reduce((sum, { cost }) => sum + cost.rows, 0),
      );
      assert.equal(width, Math.max(...chunk.map(({ cost }) => cost.width)));
      assert.ok(Math.abs(paddedUnits - rows * width) < 1e-6);
      assert.ok(chunk.length === 1 || (rows <= 8 && paddedUnits <= 200 + 1e-6));
      const units = chunk.reduce((sum, { cost }) => sum + cost.units, 0);
      assert.ok(paddedUnits <= 1.25 * units + 1e-6, `${paddedUnits} for ${units}`);
      const twin = inputs.find(
        (each) =>
          !chunk.includes(each) &&
          each.cost.batchKey === leader.cost.batchKey &&
          each.cost.width === leader.cost.width &&
          each.cost.rows === 1,
      );
      assert.ok(twin === undefined || full, "one like the leader was left out");
    }),
  );
});
