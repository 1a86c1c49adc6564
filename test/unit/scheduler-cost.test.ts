/** What a step costs, in operations and not in time: how often it looks at a pipeline. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Scheduler } from "#src/scheduler/scheduler.js";
import type { Decision, HostSpec, RunMode, SchedulerEvent } from "#src/scheduler/types.js";

/** Looks at one pipeline in one step, at the most: twice a class in each of some rounds. */
const looksMax = 24;

/** Many pipelines of one model, kept busy with more than they can hold. */
class Crowd {
  readonly scheduler = new Scheduler({
    policy: "millrace",
    realtimeTargetMs: 200,
    ageLimitMs: 50,
    prefetchRows: 16,
  });
  readonly held: { readonly pipelineId: string; readonly itemId: number }[] = [];
  /** Reads of what a pipeline can do, since the last step began. */
  looks = 0;
  looksMost = 0;
  nowMs = 0;
  #itemId = 0;
  #requests = 0;

  constructor(pipelines: number, mode: RunMode) {
    const spec = { model: "m", mode, bytes: 1, keep: "preloaded", rowsMax: 16 } as const;
    this.step({ type: "model", model: spec });
    for (let at = 0; at < pipelines; at += 1) {
      const pipelineId = `p${at}`;
      const host = { kind: "shared", modelMemoryBytesMax: 10 } as const;
      this.step({ type: "pipeline-up", pipeline: this.#counted({ ...host, pipelineId }) });
      this.step({ type: "loaded", pipelineId, model: "m", bytes: 1, ms: 1 });
    }
  }

  step(event: SchedulerEvent): readonly Decision[] {
    this.looks = 0;
    const decisions = this.scheduler.step(event, this.nowMs);
    this.looksMost = Math.max(this.looksMost, this.looks);
    for (const decision of decisions)
      if (decision.type === "dispatch")
        for (const itemId of decision.batch.segments.flatMap(({ itemIds }) => itemIds))
          this.held.push({ pipelineId: decision.pipelineId, itemId });
    return decisions;
  }

  request(
    workClass: "realtime" | "bulk",
    { count, model = "m" }: { count: number; model?: string },
  ) {
    const items = Array.from({ length: count }, (_, at) => {
      const width = 10 + (at % 90);
      const rows = at % 5 === 0 ? 4 : 1;
      return { itemId: this.#itemId++, units: width, width, rows, bytes: 0, batchKey: "" };
    });
    const requestId = this.#requests++;
    const request = { requestId, model, class: workClass, tenant: "", deadlineAtMs: null, items };
    return this.step({ type: "request", request });
  }

  /** Something of what is held ends, as by chance. */
  settleOne(at: number): void {
    const [done] = this.held.splice((at * 7_919) % this.held.length, 1);
    if (done !== undefined) this.step({ type: "settled", ...done });
  }

  #counted(spec: HostSpec): HostSpec {
    return new Proxy(spec, {
      get: (target, key, receiver) => {
        this.looks += 1;
        return Reflect.get(target, key, receiver);
      },
    });
  }
}

for (const mode of ["continuous", "one-shot"] as const) {
  test(`defect 14: a step of ${mode} pipelines costs O(P), with 8 of them, 32 and 128`, () => {
    for (const pipelines of [8, 32, 128]) {
      const crowd = new Crowd(pipelines, mode);
      crowd.request("bulk", { count: 64 * pipelines });
      for (let at = 0; at < 600; at += 1) {
        crowd.nowMs += 0.2;
        crowd.settleOne(at);
        if (at % 100 === 0) crowd.request("realtime", { count: pipelines });
      }
      const { looksMost } = crowd;
      const message = `${looksMost} looks in one step with ${pipelines} pipelines`;
      assert.ok(looksMost >= pipelines && looksMost <= looksMax * pipelines, message);
    }
  });
}

test("defect 14: what happens to one model costs nothing for another", () => {
  const crowd = new Crowd(32, "continuous");
  crowd.request("bulk", { count: 64 * 32 });
  assert.ok(crowd.looks > 0);
  crowd.nowMs += 1;
  crowd.request("bulk", { count: 10, model: "other" });
  crowd.step({ type: "tick" });
  assert.equal(crowd.looks, 0);
  crowd.nowMs += 100;
  crowd.step({ type: "tick" });
  assert.ok(crowd.looks > 0, "but when its oldest passes the age limit, it is looked at");
  crowd.step({ type: "tick" });
  assert.equal(crowd.looks, 0, "once");
});
