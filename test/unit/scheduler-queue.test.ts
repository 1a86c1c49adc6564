/** The queue of a class against a list that is searched from end to end. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import type { RequestsBy } from "#src/scheduler/age-lines.js";
import { ClassQueue } from "#src/scheduler/class-queue.js";
import {
  type ItemEntry,
  openItemsOf,
  RequestBook,
  type RequestEntry,
} from "#src/scheduler/request-book.js";

const cost = fc.record({
  units: fc.integer({ min: 1, max: 5_000 }),
  width: fc.integer({ min: 1, max: 500 }),
  rows: fc.integer({ min: 1, max: 8 }),
  bytes: fc.nat(100),
  batchKey: fc.constantFrom("", "a", "b", "c"),
});
const change = fc.oneof(
  fc.record({
    type: fc.constant("arrive" as const),
    costs: fc.array(cost, { minLength: 1, maxLength: 20 }),
  }),
  // Which of the requests, and which of its items: those whose bit is set.
  fc.record({
    type: fc.constantFrom("take" as const, "return" as const),
    at: fc.nat(9),
    bits: fc.nat(),
  }),
);

class Bench {
  readonly book = new RequestBook();
  readonly queue = new ClassQueue("bulk", 1_000);
  readonly requests: RequestEntry[] = [];
  readonly queued = new Set<ItemEntry>();
  #itemId = 0;

  arrive(costs: readonly (typeof cost extends fc.Arbitrary<infer T> ? T : never)[]): void {
    const requestId = this.requests.length;
    const items = costs.map((each) => ({ ...each, itemId: this.#itemId++ }));
    const tenant = `t${requestId % 3}`;
    const spec = { requestId, model: "m", class: "bulk", tenant, deadlineAtMs: null } as const;
    const request = this.book.add({ ...spec, items }, 0);
    this.requests.push(request);
    this.queue.arrive(request, 0);
    for (const item of openItemsOf(request)) this.queued.add(item);
  }

  move(to: "take" | "return", request: RequestEntry | undefined, bits: number): void {
    const chosen = (request === undefined ? [] : openItemsOf(request)).filter(
      (item, at) => ((bits >> (at % 31)) & 1) === 1 && this.queued.has(item) === (to === "take"),
    );
    if (to === "take") {
      this.queue.dequeue(chosen);
      for (const item of chosen) this.queued.delete(item);
    } else {
      this.queue.enqueue(chosen.toReversed());
      for (const item of chosen) this.queued.add(item);
    }
  }

  check(): void {
    const { queue, queued } = this;
    const items = [...queued];
    for (const of of ["units", "rows", "bytes"] as const)
      assert.equal(
        queue[of],
        items.reduce((sum, item) => sum + item[of], 0),
        of,
      );
    assert.equal(queue.items, items.length);
    assert.equal(queue.keys, new Set(items.map(({ kin }) => kin.batchKey)).size);
    assert.equal(queue.tenants.size, new Set(items.map(({ request }) => request.tenant)).size);
    assert.deepEqual([...queue.oldest.ordered()], inOrder(items));
    for (const batchKey of ["", "a", "b", "c"]) {
      const those = items.filter(({ kin }) => kin.batchKey === batchKey);
      assert.deepEqual([...(queue.oldestOf(batchKey)?.ordered() ?? [])], inOrder(those));
      checkByLength(queue.byLength(batchKey), those);
      for (const tenant of new Set(items.map(({ request }) => request.tenant)))
        checkByLength(
          queue.tenants.queue(tenant).byLength(batchKey),
          those.filter(({ request }) => request.tenant === tenant),
        );
    }
    for (const request of this.requests) this.#checkRequest(request);
  }

  #checkRequest(request: RequestEntry): void {
    const items = openItemsOf(request).filter((item) => this.queued.has(item));
    assert.equal(request.queuedItems, items.length);
    const listed = [...request.groups.values()].flatMap(({ queued }) => {
      const list = Array.from({ length: queued.size }, (_, place) => queued.at(place));
      const those = list.filter((item) => item !== undefined);
      assert.deepEqual(
        those,
        those.toSorted((a, b) => a.order - b.order),
      );
      assert.equal(queued.widestBucket, those.at(-1)?.bucket ?? null);
      for (const [place, item] of those.entries())
        assert.ok(queued.endOf(item.bucket) > place && queued.endOf(item.bucket - 1) <= place);
      return those;
    });
    assert.deepEqual(new Set(listed), new Set(items));
    const groups = [...request.queuedGroups.ordered()];
    assert.deepEqual(new Set(groups), new Set(items.map(({ kin }) => kin)));
    assert.deepEqual(
      groups,
      groups.toSorted((a, b) => b.widest - a.widest),
    );
  }
}

function inOrder(items: readonly ItemEntry[]): RequestEntry[] {
  return [...new Set(items.map(({ request }) => request))].toSorted(
    (a, b) => a.sequence - b.sequence,
  );
}

function checkByLength(byLength: RequestsBy | undefined, items: readonly ItemEntry[]): void {
  assert.equal(byLength?.size ?? 0, new Set(items.map(({ bucket }) => bucket)).size);
  for (const [bucket, requests] of byLength ?? [])
    assert.deepEqual(
      [...requests.ordered()],
      inOrder(items.filter((item) => item.bucket === bucket)),
    );
}

test("a queue's every index says what is queued, whatever came, left and returned", () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
      const bench = new Bench();
      for (const each of changes) {
        if (each.type === "arrive") bench.arrive(each.costs);
        else bench.move(each.type, bench.requests[each.at], each.bits);
        bench.check();
      }
      for (const request of bench.requests) bench.move("take", request, -1);
      bench.check();
      const { oldest, tenants, keys } = bench.queue;
      assert.deepEqual([oldest.size, tenants.size, keys], [0, 0, 0], "nothing is left behind");
    }),
  );
});
