/** The replay of made recordings: what must come out is reckoned by hand, or must be so by what is asked. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { RecordHead, RecordLine } from "millrace-client/wire";
import { callersOf, timesCallers } from "#src/plan/callers.js";
import { ModelCosts } from "#src/plan/costs.js";
import { type PlanQuestion, plan } from "#src/plan/plan.js";
import { type RecordedLoad, recordedLoad } from "#src/plan/recorded-load.js";
import { expectedMsOf, Slowness } from "#src/plan/slowness.js";
import {
  arrivalsByChance,
  recordedHead,
  recordedRequest,
  recordedRuns,
} from "../support/recordings.js";

const question: PlanQuestion = {
  pipelines: [1],
  policies: [],
  loadFactors: [1],
  p99Ms: null,
  waits: false,
  measured: null,
};

function loadOf(lines: readonly RecordLine[], head: RecordHead = recordedHead()): RecordedLoad {
  return recordedLoad(head, { lines, isCut: false });
}

const end = (id: number, atMs: number): RecordLine => {
  return { type: "end", id, atMs, code: null, failedInputs: 0 };
};

describe("costs", () => {
  const { stages } = recordedRuns(0);
  const [model] = recordedHead().models;
  assert.ok(model !== undefined);

  test("runs are a line of what was measured", () => {
    const { runMs } = new ModelCosts(model, stages);
    const ms = runMs("encode", { rows: 4, width: 16, paddedUnits: 64 });
    assert.ok(Math.abs(ms - 7.4) < 1e-9, String(ms));
    assert.ok(Math.abs(runMs("decode", { rows: 4, width: 16, paddedUnits: 4 }) - 2.2) < 1e-9);
    assert.throws(() => runMs("other", { rows: 1, width: 1, paddedUnits: 1 }), /nothing is known/);
  });

  test("what nothing was run of takes what had been learned", () => {
    const learned = { encode: { perRunMs: 3, perUnitMs: 0.5 } };
    const { runMs } = new ModelCosts({ ...model, learned }, []);
    assert.equal(runMs("encode", { rows: 1, width: 10, paddedUnits: 10 }), 8);
  });

  test("a slow moment is as slow as its report, and no other one is", () => {
    const { runMs } = new ModelCosts(model, stages);
    const usual = recordedRuns(1_000);
    const expected = expectedMsOf(usual, runMs);
    const line = { ...usual, busyMs: 3 * expected };
    const slowness = new Slowness([line], {
      expectedMs: (each) => expectedMsOf(each, runMs),
      betweenMs: 0,
    });
    assert.ok(Math.abs(slowness.at(990) - 3) < 1e-9);
    assert.equal(slowness.at(5_000), 1);
  });

  test("attack: a report that ends as a moment begins says nothing of that one", () => {
    const line = { ...recordedRuns(1_000), busyMs: 400 };
    const slowness = new Slowness([line], { expectedMs: () => 100, betweenMs: 0 });
    assert.deepEqual([slowness.at(999), slowness.at(1_000)], [4, 1]);
  });
});

describe("replay", () => {
  test("a request by itself takes its encoding and a step for each token", () => {
    const load = loadOf([recordedRequest({ id: 1, prepareMs: 5 }), recordedRuns(500)]);
    const { rows } = plan(load, question);
    // 5 + 2.6 + 16 × 2.05
    const p50 = rows[0]?.replayed.classes.realtime?.p50Ms ?? 0;
    assert.ok(Math.abs(p50 - 40.4) < 0.01, String(p50));
  });

  test("the same recording gives the same plan", () => {
    const load = loadOf(arrivalsByChance({ perSecond: 50, ms: 1_000, seed: 3 }));
    const asked = { ...question, pipelines: [1, 2], policies: ["fcfs", "millrace"] as const };
    assert.deepEqual(plan(load, asked), plan(load, asked));
  });

  test("more pipelines wait less, more load waits more, and one that falls behind is told", () => {
    const load = loadOf(arrivalsByChance({ perSecond: 150, ms: 4_000, seed: 1 }));
    const { rows } = plan(load, { ...question, pipelines: [1, 4], loadFactors: [1, 16] });
    const [one, four, oneOfMore] = rows;
    const p99 = (row: typeof one): number => row?.replayed.classes.realtime?.p99Ms ?? 0;
    assert.ok(p99(four) < p99(one), `${p99(four)} < ${p99(one)}`);
    assert.ok(p99(oneOfMore) > p99(one));
    assert.deepEqual(
      rows.map(({ fallsBehind }) => fallsBehind),
      [false, false, true, false],
    );
    const answered = rows.map(({ replayed }) => replayed.classes.realtime?.answered);
    assert.deepEqual(new Set(answered), new Set([load.calls.length]));
  });

  test("as few pipelines as a p99 takes are found, or none", () => {
    const load = loadOf(arrivalsByChance({ perSecond: 150, ms: 2_000, seed: 2 }));
    const asked = { ...question, pipelines: null, loadFactors: [4], p99Ms: 150 };
    const planned = plan(load, asked);
    const found = planned.answers[0]?.pipelines ?? 0;
    const rowOf = (pipelines: number) => planned.rows.find((row) => row.pipelines === pipelines);
    assert.ok(found > 1);
    assert.ok((rowOf(found)?.replayed.classes.realtime?.p99Ms ?? Infinity) <= 150);
    assert.ok((rowOf(found - 1)?.replayed.classes.realtime?.p99Ms ?? 0) > 150);
    const never = plan(load, { ...asked, p99Ms: 1 });
    assert.equal(never.answers[0]?.pipelines, null);
  });

  test("a full queue refuses, and a deadline that passes is no answer", () => {
    const head = recordedHead();
    const small = { ...head, options: { ...head.options, queuedItemsMax: 20 } };
    const items = [[16, 16, 1, 20]] as const;
    const requests = [1, 2, 3].map((id) => recordedRequest({ id, inputs: 20, items }));
    const refused = plan(loadOf([...requests, recordedRuns(9_000)], small), question);
    assert.deepEqual(refused.rows[0]?.replayed.refused, { queue_full: 2 });
    const late = recordedRequest({ id: 4, deadlineMs: 10, isDeadlineNamed: true });
    const { rows } = plan(loadOf([late, recordedRuns(9_000)]), question);
    assert.equal(rows[0]?.replayed.classes.realtime?.failed, 1);
  });

  test("cores that there are not are shared", () => {
    const machine = { cores: 1, threads: 1, memoryBytes: 1e9 };
    const lines = arrivalsByChance({ perSecond: 300, ms: 1_500, seed: 5 });
    const shared = plan(loadOf(lines, recordedHead({ machine })), { ...question, pipelines: [4] });
    const own = plan(loadOf(lines), { ...question, pipelines: [4] });
    const p99Of = ({ rows }: typeof own): number => rows[0]?.replayed.classes.realtime?.p99Ms ?? 0;
    assert.ok(p99Of(shared) > 2 * p99Of(own), `${p99Of(shared)}, ${p99Of(own)}`);
  });

  test("a model of stages, one-shot, and one on demand that is loaded first", () => {
    const [model] = recordedHead().models;
    assert.ok(model !== undefined);
    const learned = { run: { perRunMs: 10, perUnitMs: 0 } };
    const staged = { ...model, engine: "staged", mode: "one-shot", keep: "on-demand" } as const;
    const [host] = recordedHead().pipelines;
    assert.ok(host !== undefined);
    const head = recordedHead({
      models: [{ ...staged, learned, loadMs: 500 }],
      pipelines: [{ ...host, resident: [] }],
    });
    const requests = [0, 2_000].map((atMs, id) => recordedRequest({ id, atMs, class: "realtime" }));
    const time: RecordLine = { type: "time", atMs: 4_000, openRequests: 0 };
    const { rows } = plan(loadOf([...requests, time], head), question);
    const figures = rows[0]?.replayed.classes.realtime;
    assert.ok(figures !== undefined && figures.meanMs >= (510 + 10) / 2 && figures.meanMs < 400);
  });
});

describe("what a recording says", () => {
  test("what really happened, and what is missing, is told", () => {
    const lines: readonly RecordLine[] = [
      recordedRequest({ id: 1 }),
      end(1, 40),
      recordedRequest({ id: 2, model: "came later" }),
      { type: "refused", atMs: 50, model: "m", class: null, bytes: 9, code: "queue_full" },
      { type: "refused", atMs: 60, model: null, class: null, bytes: 9, code: "bad_request" },
      { type: "left-out", atMs: 70, lines: 3 },
      { type: "down", atMs: 80, pipelineId: "p" },
      recordedRuns(1_000),
    ];
    const load = loadOf(lines, recordedHead({ openRequests: 2 }));
    assert.deepEqual(load.gaps, {
      openBefore: 2,
      linesLeftOut: 3,
      pipelinesLost: 1,
      badRequests: 1,
      guessed: 1,
      unknownModels: 1,
    });
    assert.equal(load.actual.classes.realtime?.p50Ms, 40);
    assert.deepEqual(load.actual.refused, { queue_full: 1 });
    assert.equal(load.calls.length, 2);
  });

  test("callers who wait are seen, and those who come by chance are not taken for them", () => {
    const waiting: RecordLine[] = [];
    for (let caller = 0, id = 0; caller < 4; caller += 1)
      for (let atMs = caller * 17; atMs < 4_000; atMs += 100 + caller, id += 1)
        waiting.push(recordedRequest({ id, atMs }), end(id, atMs + 99 + caller));
    const sorted = loadOf([...waiting, recordedRuns(4_200)]);
    const callers = callersOf(sorted.calls, sorted.lengthMs);
    assert.equal(callers.chains.length, 4);
    assert.equal(callers.isLikely, true);
    assert.equal(timesCallers(callers.chains, 2.5).length, 10);
    const planned = plan(sorted, { ...question, waits: null });
    assert.equal(planned.waits, true);
    const chance = arrivalsByChance({ perSecond: 40, ms: 5_000, seed: 9 });
    const ended = chance.flatMap((line) =>
      line.type === "request" ? [line, end(line.id, line.atMs + 60)] : [line],
    );
    const open = loadOf(ended);
    assert.equal(callersOf(open.calls, open.lengthMs).isLikely, false);
  });

  test("callers who wait send more to a server that is faster", () => {
    const lines: RecordLine[] = [];
    for (let id = 0; id < 20; id += 1)
      lines.push(recordedRequest({ id, atMs: 100 * id }), end(id, 100 * id + 99));
    const load = loadOf([...lines, recordedRuns(2_000)]);
    const { rows } = plan(load, { ...question, waits: true });
    const answered = rows[0]?.replayed.classes.realtime?.answered ?? 0;
    assert.ok(answered > 40, String(answered));
  });
});
