/** What is kept of the last minutes for whoever looks on, and who has how much. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { liveSampleOf } from "#src/metrics/live-sample.js";
import { StatusFeed } from "#src/metrics/status-feed.js";
import { Traffic } from "#src/metrics/traffic.js";
import { OpenTenants } from "#src/submit/local/open-tenants.js";
import { someStatus } from "../support/some-status.js";

const timings = { prepareMs: 1, queueMs: 2, computeMs: 3, totalMs: 6 };

test("a sample is what the status says, by class over all models", () => {
  const queue = { units: 9, bytes: 9, requests: 1, tenants: 1 };
  const queues = [
    { model: "a", class: "bulk", items: 3, oldestWaitMs: 10, ...queue },
    { model: "b", class: "bulk", items: 4, oldestWaitMs: 30, ...queue },
    { model: "b", class: "realtime", items: 1, oldestWaitMs: 2, ...queue },
  ] as const;
  const traffic = new Traffic();
  traffic.finished("realtime", timings, 0);
  const sample = liveSampleOf({ ...someStatus(), queues, ...traffic.view(0) }, 5);
  const { realtime, bulk } = sample.classes;
  assert.deepEqual(
    { finished: 0, p50Ms: 0, p99Ms: 0, queuedItems: 7, oldestWaitMs: 30 },
    bulk,
    "both models' bulk",
  );
  const waiting = { queuedItems: 1, oldestWaitMs: 2 };
  assert.deepEqual(realtime, { finished: 1, p50Ms: 6, p99Ms: 6, ...waiting });
  assert.equal(sample.atMs, 5);
});

test("durations of the last minute count, and no older ones; the sums go on", () => {
  const traffic = new Traffic();
  traffic.finished("bulk", { ...timings, totalMs: 1_000 }, 0);
  traffic.finished("bulk", timings, 50_000);
  assert.equal(traffic.view(59_000).finished.bulk.p99Ms, 1_000);
  const later = traffic.view(61_000).finished.bulk;
  assert.deepEqual([later.p50Ms, later.p99Ms, later.count, later.totalMs], [6, 6, 2, 1_006]);
  assert.equal(traffic.view(111_000).finished.bulk.p99Ms, 0);
});

test("the ring of durations keeps the last ones", () => {
  const traffic = new Traffic();
  for (let ms = 1; ms <= 3_000; ms += 1)
    traffic.finished("bulk", { ...timings, totalMs: ms < 953 ? 1e6 : ms }, 0);
  assert.equal(traffic.view(0).finished.bulk.p99Ms < 1e6, true, "those before are gone");
});

test("defect: hundreds of looks a second do not sort all durations each; a few new ones show at once", (t) => {
  const sorts = t.mock.method(Float64Array.prototype, "sort");
  const traffic = new Traffic();
  const finish = (count: number, totalMs: number, nowMs: number): void => {
    for (let each = 0; each < count; each += 1)
      traffic.finished("bulk", { ...timings, totalMs }, nowMs);
  };
  const p50Ms = (nowMs: number): number => traffic.view(nowMs).finished.bulk.p50Ms;
  const seen: number[] = [];
  finish(1, 5, 0);
  seen.push(p50Ms(0));
  finish(3, 9, 1);
  seen.push(p50Ms(1));
  finish(2_000, 20, 2);
  seen.push(p50Ms(2));
  finish(4, 30, 3);
  const before = sorts.mock.callCount();
  for (let look = 0; look < 50; look += 1) seen.push(p50Ms(3 + look));
  assert.deepEqual([...new Set(seen)], [5, 9, 20]);
  const realtimeToo = 2;
  assert.ok(sorts.mock.callCount() - before <= realtimeToo, `${sorts.mock.callCount() - before}`);
  finish(1_900, 30, 60);
  assert.equal(p50Ms(60), 30, "many have come");
  assert.equal(traffic.view(60).finished.bulk.count, 3_908);
});

test("refusals, and items that failed, are counted by code", () => {
  const traffic = new Traffic();
  traffic.refused("queue_full");
  traffic.refused("queue_full");
  traffic.itemsFailed("worker_lost", 2);
  traffic.itemsFailed("worker_lost", 1);
  const { refusals, failures } = traffic.view(0);
  assert.deepEqual([refusals, failures], [{ queue_full: 2 }, { worker_lost: 3 }]);
});

test("tenants: those with the most items, and nobody who has nothing", () => {
  const tenants = new OpenTenants();
  const of = (tenant: string, items: number, arrivedAtMs: number) =>
    ({ class: "bulk", tenant, items, arrivedAtMs }) as const;
  const requests = Array.from({ length: 40 }, (_, at) => of(`t${at}`, at + 1, at));
  for (const request of requests) tenants.enter(request);
  const second = of("t39", 5, 90);
  tenants.enter(second);
  const view = tenants.view(100);
  assert.equal(view.length, 32);
  assert.deepEqual(view[0], { tenant: "t39", class: "bulk", requests: 2, items: 45, oldestMs: 61 });
  for (const request of [...requests, ...requests]) tenants.leave(request);
  assert.deepEqual(tenants.view(100), [
    { tenant: "t39", class: "bulk", requests: 1, items: 5, oldestMs: 10 },
  ]);
  tenants.leave(second);
  assert.deepEqual(tenants.view(100), []);
});

test("looks are written while somebody watches, each once for all, and kept for who comes", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  let looks = 0;
  const feed = new StatusFeed(() => {
    looks += 1;
    return { status: { ...someStatus(), uptimeMs: looks }, nodes: null };
  });
  feed.start();
  for (let second = 0; second < 200; second += 1) t.mock.timers.tick(1_000);
  assert.equal(JSON.parse(feed.history).samples.length, 120);
  const one = feed.watch();
  const two = feed.watch();
  const next = [one.next(), two.next()];
  t.mock.timers.tick(1_000);
  const [mine, yours] = await Promise.all(next);
  assert.equal(mine, yours);
  assert.equal(JSON.parse(mine ?? "").status.uptimeMs, 202);
  two[Symbol.dispose]();
  two[Symbol.dispose]();
  assert.equal(feed.watching, 1);
  const last = one.next();
  feed[Symbol.dispose]();
  assert.equal(await last, null, "the server stops");
  assert.equal(await feed.watch().next(), null);
});

test("what is wrong is found while somebody watches, every other look, of the last half minute", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval", "Date"] });
  const windows: { readonly fromMs: number; readonly toMs: number; readonly samples: number }[] =
    [];
  const look = () => ({ status: someStatus(), nodes: null });
  const feed = new StatusFeed(look, ({ before, after, samples }) => {
    windows.push({ fromMs: before.atMs, toMs: after.atMs, samples: samples.length });
    const code = `at ${after.atMs}`;
    return [{ code, severity: "notice", title: "", evidence: [], change: "", expect: "" }];
  });
  feed.start();
  for (let second = 0; second < 100; second += 1) t.mock.timers.tick(1_000);
  assert.deepEqual(windows, [], "nobody watches");
  const watch = feed.watch();
  const codes: string[] = [];
  for (let second = 0; second < 4; second += 1) {
    const next = watch.next();
    t.mock.timers.tick(1_000);
    codes.push(JSON.parse((await next) ?? "").findings[0].code);
  }
  assert.deepEqual(codes, ["at 101000", "at 101000", "at 103000", "at 103000"]);
  assert.deepEqual(windows, [
    { fromMs: 70_000, toMs: 101_000, samples: 32 },
    { fromMs: 70_000, toMs: 103_000, samples: 34 },
  ]);
  feed[Symbol.dispose]();
});

test("attack: a clock that is set back takes no look out of what is diagnosed", async (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  let nowMs = 10_000_000;
  t.mock.method(Date, "now", () => nowMs);
  const samples: number[] = [];
  const look = () => ({ status: someStatus(), nodes: null });
  using feed = new StatusFeed(look, (window) => {
    samples.push(window.samples.length);
    return [];
  });
  feed.start();
  for (let second = 0; second < 10; second += 1) {
    nowMs += second === 5 ? -3_600_000 : 1_000;
    t.mock.timers.tick(1_000);
  }
  using watch = feed.watch();
  const next = watch.next();
  t.mock.timers.tick(1_000);
  await next;
  assert.deepEqual(samples, [12]);
});

test("attack: all who come back at once cost the front one history, and not one each", (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  let written = 0;
  const toJSON = (): object => {
    written += 1;
    return {};
  };
  const status = { ...someStatus(), items: { ...someStatus().items, toJSON } };
  using feed = new StatusFeed(() => ({ status, nodes: null }));
  feed.start();
  for (let at = 0; at < 100; at += 1) assert.equal(JSON.parse(feed.history).samples.length, 1);
  assert.equal(written, 1);
  t.mock.timers.tick(1_000);
  for (let at = 0; at < 100; at += 1) assert.equal(JSON.parse(feed.history).samples.length, 2);
  assert.equal(written, 3);
});
