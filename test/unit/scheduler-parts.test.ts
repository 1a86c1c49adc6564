import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { WorkClass } from "millrace-client/wire";
import { ArrivalRate, ArrivalRates } from "#src/scheduler/arrival-rate.js";
import { BatchCost } from "#src/scheduler/batch-cost.js";
import { BatchSums } from "#src/scheduler/batch-sums.js";
import { OrderedHeap } from "#src/scheduler/ordered-heap.js";
import { RecentIds } from "#src/scheduler/recent-ids.js";
import { openItemsOf, RequestBook } from "#src/scheduler/request-book.js";
import { ServiceTime } from "#src/scheduler/service-time.js";
import { tenantsIn } from "#src/scheduler/snapshot.js";
import { Tenants } from "#src/scheduler/tenants.js";
import { type WindowInput, windowMs } from "#src/scheduler/window.js";

test("a heap gives its members in order, whatever came and went", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(50), fc.boolean()), { maxLength: 200 }), (changes) => {
      const heap = new OrderedHeap<number>((a, b) => a < b);
      const model = new Set<number>();
      for (const [member, stays] of changes) {
        if (stays) {
          heap.add(member);
          model.add(member);
        } else assert.equal(heap.delete(member), model.delete(member));
      }
      const expected = [...model].toSorted((a, b) => a - b);
      assert.deepEqual([...heap.ordered()], expected);
      assert.equal(heap.size, expected.length);
      for (const member of expected) {
        assert.equal(heap.peek(), member);
        heap.delete(member);
      }
      assert.equal(heap.peek(), undefined);
    }),
  );
});

const alone: WindowInput = {
  items: 1,
  runMs: 40,
  waitedMs: 0,
  gapMs: Infinity,
  arrivalItems: 1,
  busyMs: 0,
  windowMsMax: 100,
};

test("a lone request on an idle pipeline never waits", () => {
  assert.equal(windowMs(alone), 0);
  assert.equal(windowMs({ ...alone, gapMs: 1_000 }), 0);
});

test("a window is waited when the next request is due before the batch would be through", () => {
  assert.equal(windowMs({ ...alone, gapMs: 10 }), 20);
  assert.equal(windowMs({ ...alone, gapMs: 10, items: 4 }), 0, "four items lose what one gains");
  assert.equal(windowMs({ ...alone, gapMs: 10, items: 4, arrivalItems: 2 }), 20);
  assert.equal(
    windowMs({ ...alone, gapMs: 10, waitedMs: 95 }),
    5,
    "what is left of the longest window",
  );
  assert.equal(windowMs({ ...alone, gapMs: 10, waitedMs: 100 }), 0);
});

test("behind a run, a batch waits until shortly before its end, if somebody may come", () => {
  assert.equal(windowMs({ ...alone, gapMs: 10, items: 50, busyMs: 45 }), 40);
  assert.equal(windowMs({ ...alone, gapMs: 50, busyMs: 45 }), 0);
  assert.equal(windowMs({ ...alone, gapMs: 1, busyMs: 4 }), 0);
});

test("an arrival rate is believed after some arrivals, and doubted in silence", () => {
  const arrivals = new ArrivalRate();
  for (const atMs of [0, 10, 20]) arrivals.arrived(2, atMs);
  assert.equal(arrivals.gapMs(20), Infinity);
  arrivals.arrived(2, 30);
  assert.equal(arrivals.gapMs(30), 10);
  assert.equal(arrivals.items, 2);
  assert.equal(arrivals.gapMs(530), 500);
});

test("the service time of a stage is learned from what was measured, and learned anew", () => {
  const service = new ServiceTime();
  const measure = (perRunMs: number, perTokenMs: number) => {
    for (let count = 0; count < 400; count += 1) {
      const tokens = 32 * (1 + (count % 40));
      const ms = 2 * perRunMs + perTokenMs * 2 * tokens;
      service.learn({ stage: "encode", runs: 2, paddedUnits: 2 * tokens, ms });
    }
  };
  measure(5, 0.1);
  assert.ok(Math.abs(service.expectedMs(1_000) - 105) < 1, String(service.expectedMs(1_000)));
  measure(1, 0.02);
  assert.ok(Math.abs(service.expectedMs(1_000) - 21) < 1, String(service.expectedMs(1_000)));
});

test("no measurement makes an expected time negative", () => {
  const measurement = fc.record({
    stage: fc.constantFrom("encode", "decode"),
    runs: fc.integer({ min: 0, max: 100 }),
    paddedUnits: fc.integer({ min: 0, max: 1e6 }),
    ms: fc.double({ min: 0, max: 1e5, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(measurement, { maxLength: 60 }), (measurements) => {
      const service = new ServiceTime();
      for (const each of measurements) service.learn(each);
      for (const tokens of [0, 1, 100, 1e5]) {
        const ms = service.expectedMs(tokens);
        assert.ok(Number.isFinite(ms) && ms >= 0, String(ms));
      }
    }),
  );
});

/** A machine that is best at runs of 4,096 tokens. */
function tokensPerMs(cost: number): number {
  return cost <= 4_096 ? cost / 40 : 100;
}

interface Lesson {
  readonly workClass: WorkClass;
  readonly batches: number;
  readonly tokensPerMs: (cost: number) => number;
}

/** Every batch as large as it may be. */
function teach(cost: BatchCost, service: ServiceTime, lesson: Lesson): void {
  for (let count = 0; count < lesson.batches; count += 1) {
    const paddedUnits = cost.costMax(lesson.workClass);
    const ms = paddedUnits / lesson.tokensPerMs(paddedUnits);
    const measured = { stage: "encode", runs: 1, paddedUnits, ms };
    service.learn(measured);
    cost.learn(measured);
    cost.dispatched();
  }
}

function learnedCost(realtimeTargetMs: number): number {
  const service = new ServiceTime();
  const cost = new BatchCost(service, realtimeTargetMs);
  teach(cost, service, { workClass: "realtime", batches: 400, tokensPerMs });
  return cost.costMax("realtime");
}

test("the best cost of a batch is found by trying one step up now and then", () => {
  assert.equal(learnedCost(1_000), 4_096);
});

test("where a large batch is no faster, realtime goes in small ones, also after bulk was all that there was", () => {
  const service = new ServiceTime();
  const cost = new BatchCost(service, 1_000);
  const lesson = { batches: 100, tokensPerMs: () => 40 };
  teach(cost, service, { ...lesson, workClass: "bulk" });
  teach(cost, service, { ...lesson, workClass: "realtime" });
  assert.deepEqual([cost.costMax("realtime"), cost.costMax("bulk")], [256, 1_024]);
});

test("the realtime target bounds the cost of a batch", () => {
  assert.ok(learnedCost(20) < 4_096);
});

test("tenants are served in turns by what they cost, and none saves up credit", () => {
  const tenants = new Tenants();
  tenants.queue("robot");
  for (let turn = 0; turn < 10; turn += 1) tenants.charge("robot", 10);
  tenants.queue("person");
  assert.equal(tenants.queue("person").servedMs, 100, "starts where the others are");
  const turns: string[] = [];
  for (let turn = 0; turn < 9; turn += 1) {
    const tenant = tenants.fairest?.tenant ?? "";
    turns.push(tenant);
    tenants.charge(tenant, tenant === "robot" ? 20 : 10);
  }
  assert.equal(turns.filter((tenant) => tenant === "robot").length, 3);
  assert.equal(turns.filter((tenant) => tenant === "person").length, 6);
});

test("arrivals are counted by batch key, for a bounded number of keys", () => {
  const rates = new ArrivalRates();
  for (let at = 0; at < 10; at += 1) {
    rates.arrived("often", 1, 10 * at);
    rates.arrived(`once ${at}`, 1, 10 * at);
  }
  assert.equal(rates.of("often").gapMs(90), 10);
  assert.equal(rates.of("once 3").gapMs(90), Infinity);
  for (let at = 0; at < 1_000; at += 1) rates.arrived(`stranger ${at}`, 1, 100);
  assert.equal(rates.keys, 256);
  assert.equal(rates.of("often").gapMs(100), Infinity, "what came least recently is forgotten");
});

test("recent ids are known for at least half of the bound, and never more than the bound", () => {
  fc.assert(
    fc.property(fc.array(fc.nat(60), { maxLength: 200 }), (added) => {
      const recent = new RecentIds(20);
      for (const [at, id] of added.entries()) {
        recent.add(id);
        const last = new Set(added.slice(Math.max(0, at - 9), at + 1));
        for (const each of last) assert.ok(recent.has(each), `${each} of ${[...last].join()}`);
        const known = new Set(added.slice(0, at + 1).filter((each) => recent.has(each)));
        assert.ok(known.size <= 20);
      }
    }),
  );
});

test("with padding, each item is as wide as the widest, and its units grow with it", () => {
  const book = new RequestBook();
  const cost = fc.record({
    units: fc.integer({ min: 1, max: 1e6 }),
    width: fc.integer({ min: 1, max: 999 }),
  });
  let itemId = 0;
  fc.assert(
    fc.property(fc.array(cost, { minLength: 1, maxLength: 20 }), (costs) => {
      const items = costs.map((each) => ({
        ...each,
        itemId: itemId++,
        rows: 1,
        bytes: 0,
        batchKey: "",
      }));
      const spec = { model: "m", class: "bulk", tenant: "", deadlineAtMs: null } as const;
      const request = book.add({ ...spec, requestId: itemId, items }, 0);
      const sums = new BatchSums();
      for (const item of openItemsOf(request)) {
        const expected = sums.paddedUnitsWith(item);
        sums.add(item);
        assert.equal(sums.paddedUnits, expected);
      }
      const widest = Math.max(...costs.map(({ width }) => width));
      const padded = costs.reduce((sum, { units, width }) => sum + units * (widest / width), 0);
      assert.ok(Math.abs(sums.paddedUnits - padded) <= 1e-9 * padded);
      assert.equal(
        sums.units,
        costs.reduce((sum, { units }) => sum + units, 0),
      );
    }),
  );
});

test("tenants that come and go are remembered up to a bound", () => {
  const tenants = new Tenants();
  // One that never leaves keeps the others from being forgotten together.
  tenants.queue("stays");
  for (let count = 0; count < 10_240; count += 1) {
    const tenant = `t${count}`;
    tenants.charge(tenant, 1 + count);
    tenants.leave(tenants.queue(tenant));
  }
  assert.equal(tenants.size, 1);
  assert.equal(tenants.remembered, 1_024);
});

test("defect: a tenant that waits in many queues counts once, also where the longest lacks it", () => {
  const queueOf = (...names: readonly string[]): Tenants => {
    const tenants = new Tenants();
    for (const name of names) tenants.queue(name);
    return tenants;
  };
  const queues = [queueOf("a", "d"), queueOf("a", "b", "c"), queueOf("d", "b"), queueOf("d", "e")];
  assert.equal(tenantsIn(queues), 5);
  assert.equal(tenantsIn(queues.slice(0, 2)), 4);
  assert.equal(tenantsIn([]), 0);
});
