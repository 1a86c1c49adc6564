import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { BatchCost } from "#src/scheduler/batch-cost.js";
import { classify } from "#src/scheduler/classify.js";
import { Lane } from "#src/scheduler/lane.js";
import { ArrivalRate, type LingerInput, lingerMs } from "#src/scheduler/linger.js";
import { OrderedHeap } from "#src/scheduler/ordered-heap.js";
import { RequestBook } from "#src/scheduler/request-book.js";
import { ServiceTime } from "#src/scheduler/service-time.js";
import { Tenants } from "#src/scheduler/tenants.js";

test("a request is bulk from the threshold on, unless its caller named a class", () => {
  assert.equal(classify(255, null, 256), "realtime");
  assert.equal(classify(256, null, 256), "bulk");
  assert.equal(classify(1, "bulk", 256), "bulk");
  assert.equal(classify(4_000, "realtime", 256), "realtime");
});

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

const alone: LingerInput = {
  items: 1,
  runMs: 40,
  waitedMs: 0,
  gapMs: Infinity,
  arrivalItems: 1,
  busyMs: 0,
  lingerMsMax: 100,
};

test("a lone request on an idle pipeline never waits", () => {
  assert.equal(lingerMs(alone), 0);
  assert.equal(lingerMs({ ...alone, gapMs: 1_000 }), 0);
});

test("a window is waited when the next request is due before the batch would be through", () => {
  assert.equal(lingerMs({ ...alone, gapMs: 10 }), 20);
  assert.equal(lingerMs({ ...alone, gapMs: 10, items: 4 }), 0, "four items lose what one gains");
  assert.equal(lingerMs({ ...alone, gapMs: 10, items: 4, arrivalItems: 2 }), 20);
  assert.equal(
    lingerMs({ ...alone, gapMs: 10, waitedMs: 95 }),
    5,
    "what is left of the longest window",
  );
  assert.equal(lingerMs({ ...alone, gapMs: 10, waitedMs: 100 }), 0);
});

test("behind a run, a batch waits until shortly before its end, if somebody may come", () => {
  assert.equal(lingerMs({ ...alone, gapMs: 10, items: 50, busyMs: 45 }), 40);
  assert.equal(lingerMs({ ...alone, gapMs: 50, busyMs: 45 }), 0);
  assert.equal(lingerMs({ ...alone, gapMs: 1, busyMs: 4 }), 0);
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
      service.learn({ stage: "encode", runs: 2, paddedTokens: 2 * tokens, ms });
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
    paddedTokens: fc.integer({ min: 0, max: 1e6 }),
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

function learnedCost(realtimeTargetMs: number): number {
  const service = new ServiceTime();
  const cost = new BatchCost(service, realtimeTargetMs);
  for (let count = 0; count < 400; count += 1) {
    const paddedTokens = cost.costMax;
    const ms = paddedTokens / tokensPerMs(paddedTokens);
    const measured = { stage: "encode", runs: 1, paddedTokens, ms };
    service.learn(measured);
    cost.learn(measured);
    cost.dispatched();
  }
  return cost.costMax;
}

test("the best cost of a batch is found by trying one step up now and then", () => {
  assert.equal(learnedCost(1_000), 4_096);
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

test("a lane that was emptied holds no trace of what it queued", () => {
  const book = new RequestBook();
  const lane = new Lane("bulk");
  const length = fc.integer({ min: 1, max: 500 });
  fc.assert(
    fc.property(fc.array(length, { minLength: 1, maxLength: 40 }), (lengths) => {
      const requestId = book.requests;
      const request = book.add(
        {
          requestId,
          model: "m",
          class: "bulk",
          tenant: `t${requestId % 3}`,
          deadlineAtMs: null,
          items: lengths.map((tokens, at) => ({ itemId: requestId * 100 + at, tokens, rows: 1 })),
        },
        0,
      );
      const items = [...request.open.values()];
      lane.enqueue(items);
      assert.equal(lane.items, items.length);
      const half = items.filter((_, at) => at % 2 === 0);
      lane.dequeue(half);
      lane.enqueue(half.toReversed());
      for (const list of request.queued.values())
        assert.deepEqual(
          list,
          list.toSorted((a, b) => a.order - b.order),
        );
      lane.dequeue(items);
      const left = [lane.items, lane.rows, lane.tokens, lane.oldest.size, lane.byLength.size];
      assert.deepEqual([...left, lane.tenants.size, request.queued.size], [0, 0, 0, 0, 0, 0, 0]);
    }),
  );
});
