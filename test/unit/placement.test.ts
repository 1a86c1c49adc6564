/** Which model goes where, one decision a test; the simulator (test/sim) has the promises. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Scheduler } from "#src/scheduler/scheduler.js";
import type { Decision, ModelSpec, SchedulerEvent } from "#src/scheduler/types.js";

class Bench {
  readonly scheduler = new Scheduler({
    policy: "millrace",
    realtimeTargetMs: 200,
    ageLimitMs: 10_000,
    prefetchRows: 0,
    loadBackoffMinMs: 100,
    loadBackoffMaxMs: 1_000,
  });
  nowMs = 0;
  #requests = 0;

  step(event: SchedulerEvent): readonly Decision[] {
    return this.scheduler.step(event, this.nowMs);
  }

  model(model: string, more: Partial<ModelSpec> = {}): readonly Decision[] {
    const usual = { mode: "continuous", bytes: 10, keep: "on-demand", rowsMax: 8 } as const;
    const spec = { model, ...usual, ...more };
    return this.step({ type: "model", model: spec });
  }

  up(pipelineId: string, kind: "shared" | "realtime" | "bulk" = "shared"): readonly Decision[] {
    const pipeline = { pipelineId, kind, modelMemoryBytesMax: 30 };
    return this.step({ type: "pipeline-up", pipeline });
  }

  /** Every load that is asked for is done at once; what was decided in all. */
  carryOut(decisions: readonly Decision[]): readonly Decision[] {
    const all = [...decisions];
    for (const decision of all) {
      if (decision.type !== "load") continue;
      const { pipelineId, model } = decision;
      all.push(...this.step({ type: "loaded", pipelineId, model, bytes: 10, ms: 100 }));
    }
    return all;
  }

  ask(model: string, items = 1, workClass: "realtime" | "bulk" = "realtime"): readonly Decision[] {
    const requestId = this.#requests++;
    const request = {
      requestId,
      model,
      class: workClass,
      tenant: "",
      deadlineAtMs: null,
      items: Array.from({ length: items }, (_, at) => ({
        itemId: requestId * 10_000 + at,
        units: 10,
        width: 10,
        rows: 1,
        bytes: 0,
        batchKey: "",
      })),
    };
    return this.step({ type: "request", request });
  }

  /** All that was sent by these is done. */
  settle(decisions: readonly Decision[]): readonly Decision[] {
    return decisions.flatMap((each) =>
      each.type === "dispatch"
        ? each.batch.segments.flatMap(({ itemIds }) =>
            itemIds.flatMap((itemId) =>
              this.step({ type: "settled", pipelineId: each.pipelineId, itemId }),
            ),
          )
        : [],
    );
  }
}

function moves(decisions: readonly Decision[]): string[] {
  return decisions.flatMap((each) =>
    each.type === "load" || each.type === "unload"
      ? [`${each.type} ${each.model} ${each.pipelineId}`]
      : each.type === "dispatch"
        ? [`run ${each.batch.model} ${each.pipelineId}`]
        : [],
  );
}

/** p hosts a, b and c, and is full. */
function full(): Bench {
  const bench = new Bench();
  for (const model of ["a", "b", "c", "d"]) bench.model(model);
  bench.up("p");
  for (const model of ["a", "b", "c"]) {
    bench.nowMs += 1_000;
    bench.settle(bench.carryOut(bench.ask(model)));
  }
  bench.nowMs += 1_000;
  return bench;
}

test("a model that nobody has is loaded for the first who asks, and then serves", () => {
  const bench = new Bench();
  bench.model("a");
  assert.deepEqual(moves(bench.up("p")), [], "nobody asks");
  assert.deepEqual(moves(bench.carryOut(bench.ask("a"))), ["load a p", "run a p"]);
});

test("what is preloaded comes in the order of its names, as far as it fits, and makes room", () => {
  const bench = new Bench();
  for (const model of ["a", "b", "c", "d"]) bench.model(model, { keep: "preloaded" });
  assert.deepEqual(moves(bench.carryOut(bench.up("p"))), ["load a p", "load b p", "load c p"]);
  bench.nowMs = 5_000;
  assert.deepEqual(moves(bench.carryOut(bench.ask("d"))), ["unload a p", "load d p", "run d p"]);
});

test("who was idle longest makes room; who is pinned never does", () => {
  const bench = full();
  bench.model("a", { keep: "pinned" });
  assert.deepEqual(moves(bench.carryOut(bench.ask("d"))), ["unload b p", "load d p", "run d p"]);
});

test("who is in use drains before it goes, and is fed no more", () => {
  const bench = new Bench();
  for (const model of ["a", "b"]) bench.model(model, { bytes: 20 });
  bench.up("p");
  const running = bench.carryOut(bench.ask("a"));
  assert.deepEqual(moves(running), ["load a p", "run a p"]);
  bench.nowMs = 10;
  assert.deepEqual(moves(bench.ask("b")), [], "it came just now");
  bench.nowMs = 10_000;
  assert.deepEqual(moves(bench.step({ type: "tick" })), [], "it has work: it drains");
  assert.deepEqual(moves(bench.ask("a")), [], "and gets no more");
  assert.deepEqual(moves(bench.settle(running)), ["unload a p", "load b p"]);
});

test("defect: who waits until another has drained goes to a pipeline that comes up meanwhile", () => {
  const bench = new Bench();
  for (const model of ["a", "b"]) bench.model(model, { bytes: 20 });
  bench.up("p");
  const running = bench.carryOut(bench.ask("a"));
  bench.ask("b");
  bench.nowMs = 10_000;
  assert.deepEqual(moves(bench.step({ type: "tick" })), [], "a drains for it");
  assert.deepEqual(moves(bench.carryOut(bench.up("q"))), ["load b q", "run b q"]);
  // And a stays where it is.
  assert.deepEqual(moves(bench.ask("a")), ["run a p"]);
  assert.deepEqual(moves(bench.settle(running)), []);
});

test("a pipeline with realtime work loads only where no other can", () => {
  const bench = new Bench();
  for (const model of ["a", "b"]) bench.model(model);
  bench.up("p");
  const running = bench.carryOut(bench.ask("a"));
  bench.up("q");
  assert.deepEqual(moves(running), ["load a p", "run a p"]);
  assert.deepEqual(moves(bench.ask("b")), ["load b q"]);
  const alone = new Bench();
  for (const model of ["a", "b"]) alone.model(model);
  alone.up("p");
  alone.carryOut(alone.ask("a"));
  assert.deepEqual(moves(alone.ask("b")), []);
  alone.nowMs = 200;
  assert.deepEqual(moves(alone.step({ type: "tick" })), ["load b p"], "not for ever");
});

test("a queue that is longer than some loads gets another pipeline", () => {
  const bench = new Bench();
  bench.model("a");
  bench.up("p");
  bench.carryOut(bench.ask("a"));
  bench.up("q");
  assert.deepEqual(moves(bench.ask("a", 20, "bulk")).slice(-1), ["run a p"]);
  assert.deepEqual(moves(bench.ask("a", 9_000, "bulk")), ["load a q"]);
});

test("each class gets its model where it is served", () => {
  const bench = new Bench();
  bench.model("a");
  bench.up("r", "realtime");
  bench.up("b", "bulk");
  assert.deepEqual(moves(bench.carryOut(bench.ask("a", 1, "bulk"))), ["load a b", "run a b"]);
  assert.deepEqual(moves(bench.carryOut(bench.ask("a"))).includes("load a r"), true);
});

test("a load that fails is tried again later; then those who wait are told, and others are served", () => {
  const bench = new Bench();
  for (const model of ["a", "b"]) bench.model(model);
  bench.up("p");
  bench.ask("a");
  const failed = { type: "load-failed", pipelineId: "p", model: "a", reason: "no graph" } as const;
  const first = bench.step(failed);
  assert.deepEqual(first, [{ type: "wake", atMs: 100 }]);
  assert.deepEqual(moves(bench.carryOut(bench.ask("b"))), ["load b p", "run b p"]);
  bench.nowMs = 400;
  assert.deepEqual(moves(bench.step({ type: "tick" })), ["load a p"]);
  const second = bench.step(failed);
  assert.deepEqual(
    second.filter(({ type }) => type === "hold" || type === "abandon"),
    [
      { type: "hold", model: "a", untilMs: 600, reason: "no graph" },
      { type: "abandon", requestId: 0, itemIds: [0], reason: "no graph" },
    ],
  );
});

test("a process that ends while it loads holds the model back, but for the first end from outside", () => {
  const bench = new Bench();
  bench.model("a");
  bench.up("p");
  bench.ask("a");
  const down = (isFault: boolean): SchedulerEvent => {
    const loading = { model: "a", reason: "it died", isFault };
    return { type: "pipeline-down", pipelineId: "p", loading };
  };
  bench.step(down(false));
  assert.deepEqual(moves(bench.up("p")), ["load a p"], "somebody may have meant the process");
  bench.step(down(true));
  assert.deepEqual(moves(bench.up("p")), []);
  assert.equal(bench.scheduler.snapshot(0).models[0]?.place.failures, 1);
});

test("a model that no pipeline has room for is refused with the numbers", () => {
  const bench = new Bench();
  bench.model("a", { bytes: 31 });
  bench.up("p");
  const told = bench.ask("a").find(({ type }) => type === "abandon");
  assert.match(told?.type === "abandon" ? told.reason : "", /takes 31 bytes.* has 30/);
});

test("defect: a model that its files fit is served, whatever its first load took; the least counts", () => {
  const bench = new Bench();
  for (const model of ["a", "b"]) bench.model(model, { bytes: 20, leastBytes: 10 });
  bench.up("p");
  const bytesOf = (): number | undefined => bench.scheduler.snapshot(0).models[0]?.place.bytes;
  const load = (model: string, bytes: number): readonly Decision[] => {
    const asked = bench.ask(model);
    const told = bench.step({ type: "loaded", pipelineId: "p", model, bytes, ms: 100 });
    return [...asked, ...told, ...bench.settle(told)];
  };
  assert.deepEqual(moves(load("a", 500)), ["load a p", "run a p"], "and it stays");
  assert.equal(bytesOf(), 500);
  bench.nowMs = 60_000;
  assert.deepEqual(
    moves(load("b", 5)),
    ["unload a p", "load b p", "run b p"],
    "it has all for itself",
  );
  bench.nowMs = 120_000;
  assert.deepEqual(moves(load("a", 12)), ["unload b p", "load a p", "run a p"]);
  assert.equal(bytesOf(), 20, "as it was expected");
});

test("defect: what is too large is known when it is announced, and told until there is room", () => {
  const bench = new Bench();
  bench.model("p", { keep: "pinned", leastBytes: 8 });
  bench.up("h");
  const told = bench.model("a", { bytes: 60, leastBytes: 25 });
  const reason = "it takes 25 bytes by its files alone, and a pipeline has 22 for it";
  const [hold] = told;
  assert.ok(hold?.type === "hold" && hold.untilMs === Infinity && hold.fault === "too-large");
  assert.ok(hold.reason.startsWith(reason), hold.reason);
  const place = bench.scheduler.snapshot(0).models.find(({ model }) => model === "a")?.place;
  assert.deepEqual([place?.isTooLarge, place?.reason], [true, hold.reason]);
  const gone = bench.step({ type: "model-gone", model: "p" });
  assert.ok(gone.some((each) => each.type === "hold" && each.untilMs === -Infinity));
  assert.equal(
    bench.scheduler.snapshot(0).models.find(({ model }) => model === "a")?.place.reason,
    null,
  );
});

test("defect: a folder at fault ends the wait for it at once, and is tried again after the back-off", () => {
  const bench = new Bench();
  bench.model("a");
  bench.up("p");
  bench.ask("a");
  const load = { pipelineId: "p", model: "a" } as const;
  const failed = { type: "load-failed", ...load, reason: "no graph", isBroken: true } as const;
  const told = { reason: "no graph", fault: "broken" } as const;
  assert.deepEqual(bench.step(failed), [
    { type: "hold", model: "a", untilMs: 100, ...told },
    { type: "abandon", requestId: 0, itemIds: [0], ...told },
  ]);
  bench.nowMs = 100;
  assert.deepEqual(moves(bench.carryOut(bench.ask("a"))), ["load a p", "run a p"]);
});

test("defect: who waited less for a place takes none that another waits for", () => {
  const bench = new Bench();
  for (const model of ["a", "b", "c"]) bench.model(model, { bytes: 25 });
  bench.up("p");
  const running = bench.carryOut(bench.ask("a"));
  bench.nowMs = 10;
  assert.deepEqual(moves(bench.ask("b")), []);
  bench.nowMs = 20;
  // Its queue would pay for the change before the other has waited long enough.
  assert.deepEqual(moves(bench.ask("c", 9_000)), []);
  bench.nowMs = 10_000;
  const drained = [...bench.step({ type: "tick" }), ...bench.settle(running)];
  assert.deepEqual(moves(drained), ["unload a p", "load b p"]);
});

test("a model that is gone finishes what there is for it, and goes", () => {
  const bench = new Bench();
  bench.model("a");
  bench.up("p");
  const running = bench.carryOut(bench.ask("a"));
  assert.deepEqual(moves(bench.step({ type: "model-gone", model: "a" })), []);
  assert.deepEqual(moves(bench.settle(running)), ["unload a p"]);
  assert.deepEqual(bench.scheduler.snapshot(0).models, []);
});

test("whatever is asked in turn, a load serves somebody, and memory is kept to", () => {
  const asks = fc.array(fc.record({ model: fc.nat(5), gapMs: fc.nat(2_000) }), { maxLength: 60 });
  fc.assert(
    fc.property(asks, (list) => {
      const bench = new Bench();
      for (let at = 0; at < 6; at += 1) bench.model(`m${at}`);
      const resident = new Set<string>();
      const follow = (decisions: readonly Decision[]): void => {
        for (const each of decisions) {
          if (each.type === "load") resident.add(each.model);
          if (each.type === "unload") resident.delete(each.model);
          assert.ok(resident.size <= 3);
        }
      };
      follow(bench.up("p"));
      let loads = 0;
      for (const { model, gapMs } of list) {
        bench.nowMs += gapMs;
        const told = bench.carryOut(bench.ask(`m${model}`));
        loads += told.filter(({ type }) => type === "load").length;
        follow(told);
        follow(bench.settle(told));
      }
      assert.ok(loads <= list.length);
    }),
  );
});

test("defect: a model that went while it was being loaded costs no other its place", () => {
  const bench = new Bench();
  bench.model("a", { keep: "preloaded" });
  bench.model("b", { keep: "preloaded" });
  assert.deepEqual(moves(bench.up("p")), ["load a p"]);
  const loaded = { type: "loaded", pipelineId: "p", ms: 1 } as const;
  assert.deepEqual(moves(bench.step({ ...loaded, model: "a", bytes: 10 })), ["load b p"]);
  bench.step({ type: "model-gone", model: "b" });
  bench.ask("a");
  const told = bench.step({ ...loaded, model: "b", bytes: 30 });
  assert.deepEqual(moves(told).toSorted(), ["run a p", "unload b p"]);
});
