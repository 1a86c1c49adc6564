/** The parts of a feed, each against an account that is taken anew every time. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { Agenda } from "#src/scheduler/agenda.js";
import { batchOf } from "#src/scheduler/batch.js";
import { FedPipeline } from "#src/scheduler/fed-pipeline.js";
import { Host } from "#src/scheduler/host.js";
import { ModelState } from "#src/scheduler/model-state.js";

import { FirstComePolicy } from "#src/scheduler/policy-fcfs.js";
import { classOf, type Rank, ranks } from "#src/scheduler/rank.js";
import { type ItemEntry, openItemsOf, RequestBook } from "#src/scheduler/request-book.js";
import { Rooms } from "#src/scheduler/rooms.js";
import { Suspects } from "#src/scheduler/suspects.js";

const kind = fc.constantFrom("realtime", "bulk", "shared");
const rank = fc.constantFrom(...ranks);

function fedPipeline(
  model: ModelState,
  of: { at: number; kind: "realtime" | "bulk" | "shared"; rowsMax: number },
) {
  const { at, rowsMax, kind: its } = of;
  const spec = { pipelineId: `p${at}`, kind: its };
  const host = new Host({ ...spec, modelMemoryBytesMax: 1 });
  const capacity = { ...spec, model: "m", mode: "continuous", rowsMax } as const;
  return new FedPipeline(capacity, { host, model, nowMs: 0 });
}

/** Requests of one item each. */
class Items {
  readonly #book = new RequestBook();
  #made = 0;

  one(of: { rank: Rank; rows: number; batchKey?: string }, nowMs = 0): ItemEntry {
    const itemId = this.#made++;
    const { rows, batchKey = "" } = of;
    const items = [{ itemId, units: 9, width: 9, rows, bytes: 0, batchKey }];
    const spec = { requestId: itemId, model: "m", tenant: "", deadlineAtMs: null, items };
    const largeRows = of.rank === "large" ? 0 : Infinity;
    const request = { ...spec, class: classOf(of.rank) };
    const [item] = openItemsOf(this.#book.add(request, nowMs, largeRows));
    assert.ok(item !== undefined);
    return item;
  }
}

const feedCase = fc.record({
  pipelines: fc.array(fc.record({ kind, rowsMax: fc.integer({ min: 1, max: 16 }) }), {
    minLength: 1,
    maxLength: 6,
  }),
  queued: fc.array(
    fc.record({
      rank,
      rows: fc.integer({ min: 1, max: 4 }),
      arrivedMs: fc.integer({ min: 0, max: 200 }),
    }),
    { minLength: 1, maxLength: 30 },
  ),
  sends: fc.array(fc.record({ to: fc.nat(5), rank }), { maxLength: 30 }),
  prefetchRows: fc.nat(8),
});

test("the bounds of every pipeline follow the batches that leave", () => {
  fc.assert(
    fc.property(feedCase, ({ pipelines, queued, sends, prefetchRows }) => {
      const model = new ModelState("m", { sequence: 0, realtimeTargetMs: 200, ageLimitMs: 1_000 });
      for (const [at, each] of pipelines.entries())
        model.pipelineUp(fedPipeline(model, { at, ...each }));
      const items = new Items();
      for (const each of queued.toSorted((a, b) => a.arrivedMs - b.arrivedMs))
        model.queues[each.rank].arrive(items.one(each, each.arrivedMs).request, each.arrivedMs);
      const policy = new FirstComePolicy();
      const options = { policy, ageLimitMs: 100, prefetchRows, nowMs: 200 };
      const rooms = new Rooms(model, options);
      let open = rooms.open(model.pipelines);
      const check = (): void => {
        const anew = new Rooms(model, options);
        open = rooms.open(open);
        assert.deepEqual(open, anew.open(model.pipelines), "no pipeline opens while it is fed");
        for (const pipeline of open)
          for (const each of ranks)
            if (anew.serves(pipeline, each))
              assert.deepEqual(rooms.bounds(pipeline, each), anew.bounds(pipeline, each));
      };
      check();
      for (const { to, rank: of } of sends) {
        const pipeline = open[to % open.length];
        const oldest = model.queues[of].oldest.first;
        if (pipeline === undefined || oldest === undefined || !rooms.serves(pipeline, of)) continue;
        const batch = {
          rank: of,
          reason: "pipeline-free",
          items: openItemsOf(oldest),
        } as const;
        rooms.sending(pipeline, () => {
          model.queues[of].dequeue(batch.items);
          const held = { items: batch.items, expectedMs: 1, nowMs: 200 };
          pipeline.hold(batchOf(batch, { batchId: 0, nowMs: 200 }), held);
        });
        check();
      }
    }),
  );
});

test("suspects wait in groups of one key, and run in order, whoever leaves meanwhile", () => {
  const group = fc.array(fc.constantFrom("", "a", "b"), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(fc.array(fc.record({ group, leaves: fc.nat(63) }), { maxLength: 10 }), (groups) => {
      const items = new Items();
      const suspects = new Suspects();
      const expected: ItemEntry[][] = [];
      for (const { group: keys, leaves } of groups) {
        const members = keys.map((batchKey) => items.one({ rank: "bulk", rows: 1, batchKey }));
        suspects.add(members);
        const stays = members.filter((_, at) => ((leaves >> at) & 1) === 0);
        for (const item of members) if (!stays.includes(item)) suspects.remove(item);
        for (const batchKey of new Set(keys))
          expected.push(stays.filter((item) => item.kin.batchKey === batchKey));
      }
      assert.equal(suspects.waitingItems, expected.flat().length);
      const model = new ModelState("m", { sequence: 0, realtimeTargetMs: 200, ageLimitMs: 1_000 });
      model.pipelineUp(fedPipeline(model, { at: 0, kind: "shared", rowsMax: 8 }));
      for (const each of expected.filter(({ length }) => length > 0))
        assert.deepEqual(suspects.next(model)?.group, each);
      assert.equal(suspects.next(model), null);
      assert.equal(suspects.waitingItems, 0);
    }),
  );
});

test("a step looks at the models that were touched or are due, in their order", () => {
  const time = fc.oneof(fc.nat(20), fc.constant(Infinity));
  const change = fc.record({ at: fc.nat(4), windowEndsMs: time, agesAtMs: time });
  const step = fc.record({
    touched: fc.array(fc.nat(4), { maxLength: 3 }),
    plans: fc.array(change),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 20 }), (steps) => {
      const models = [0, 1, 2, 3, 4].map(
        (sequence) =>
          new ModelState(`m${sequence}`, { sequence, realtimeTargetMs: 1, ageLimitMs: 1_000 }),
      );
      const agenda = new Agenda();
      const looks = models.map(() => Infinity);
      const windows = models.map(() => Infinity);
      for (const [nowMs, { touched, plans }] of steps.entries()) {
        for (const at of touched) agenda.touch(models[at] ?? assert.fail());
        const expected = models.filter(
          ({ sequence }) => touched.includes(sequence) || (looks[sequence] ?? 0) <= nowMs,
        );
        assert.deepEqual(agenda.take(nowMs), expected);
        for (const { at, windowEndsMs, agesAtMs } of plans) {
          agenda.plan(models[at] ?? assert.fail(), { windowEndsMs, agesAtMs });
          looks[at] = Math.min(windowEndsMs, agesAtMs);
          windows[at] = windowEndsMs;
        }
        assert.equal(agenda.windowEndsMs, Math.min(...windows));
      }
    }),
  );
});
