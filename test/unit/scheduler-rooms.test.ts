/** How much a pipeline is given of a model that says how large its runs are. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { WorkClass } from "millrace-client/wire";
import { Scheduler } from "#src/scheduler/scheduler.js";
import type { Decision } from "#src/scheduler/types.js";

const [robot, person] = [1, 2];

/** One pipeline that gives the outcome of what came first, each after the same time. */
class OnePipeline {
  readonly #scheduler = new Scheduler({
    policy: "millrace",
    realtimeTargetMs: 200,
    ageLimitMs: 30_000,
    prefetchRows: 32,
  });
  readonly #rowMs: number;
  readonly #held: number[] = [];
  readonly served: number[] = [];
  #nowMs = 0;

  constructor(runRowsMax: number | null, rowMs: number) {
    this.#rowMs = rowMs;
    const runs = runRowsMax === null ? {} : { runRowsMax };
    const rows = { rowsMax: 64, ...runs };
    const model = { model: "m", mode: "continuous", bytes: 1, keep: "preloaded", ...rows } as const;
    const pipeline = { kind: "shared", modelMemoryBytesMax: 10 } as const;
    this.#step({ type: "model", model });
    this.#step({ type: "pipeline-up", pipeline: { pipelineId: "p", ...pipeline } });
    this.#step({ type: "loaded", pipelineId: "p", model: "m", bytes: 1, ms: 1 });
  }

  get held(): number {
    return this.#held.length;
  }

  /** Each of them a request of its own where `apart`. */
  ask(tenant: number, count: number, workClass: WorkClass = "realtime"): void {
    const items = Array.from({ length: count }, (_, at) => ({
      itemId: tenant * 1_000 + at,
      units: 200,
      width: 200,
      rows: 1,
      bytes: 9,
      batchKey: "",
    }));
    const request = { requestId: tenant, model: "m", tenant: `t${tenant}`, items };
    const terms = { class: workClass, deadlineAtMs: null };
    this.#step({ type: "request", request: { ...request, ...terms } });
  }

  serve(count: number): void {
    for (let served = 0; served < count; served += 1) {
      const itemId = this.#held.shift();
      if (itemId === undefined) return;
      this.#nowMs += this.#rowMs;
      this.served.push(Math.floor(itemId / 1_000));
      this.#step({ type: "settled", pipelineId: "p", itemId });
    }
  }

  #step(event: Parameters<Scheduler["step"]>[0]): void {
    const decisions: readonly Decision[] = this.#scheduler.step(event, this.#nowMs);
    for (const each of decisions) {
      if (each.type !== "dispatch") continue;
      this.#held.push(...each.batch.segments.flatMap(({ itemIds }) => itemIds));
    }
  }
}

function robotsBefore(pipeline: OnePipeline): number {
  pipeline.serve(200);
  return pipeline.served.indexOf(person);
}

for (const workClass of ["realtime", "bulk"] as const) {
  test(`defect: one person's picture does not wait behind a robot's 96 (${workClass})`, () => {
    const pipeline = new OnePipeline(16, 100);
    pipeline.ask(robot, 96, workClass);
    assert.equal(
      pipeline.held,
      32,
      "two of the largest runs, before anything is known of its time",
    );
    pipeline.serve(40);
    assert.equal(pipeline.held, 4, "so slow a model is given what keeps its stages busy");
    pipeline.ask(person, 1);
    const before = robotsBefore(pipeline);
    assert.ok(before <= 48, `${before} of the robot's came before`);
    assert.equal(pipeline.served.length, 97, "and every one was served");
  });
}

test("a fast model's pipeline is given two runs, and one without runs of its own what the options say", () => {
  const fast = new OnePipeline(16, 1);
  fast.ask(robot, 96);
  fast.serve(40);
  assert.ok(fast.held > 16 && fast.held <= 32, `${fast.held} rows`);
  const text = new OnePipeline(null, 100);
  text.ask(robot, 200);
  text.serve(40);
  assert.ok(text.held > 64, `${text.held} rows`);
});

test("realtime finds room where bulk has filled a pipeline", () => {
  const pipeline = new OnePipeline(16, 100);
  pipeline.ask(robot, 96, "bulk");
  const { held } = pipeline;
  pipeline.ask(person, 3);
  assert.equal(pipeline.held, held + 3);
});
