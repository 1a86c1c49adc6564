import assert from "node:assert/strict";
import { test } from "node:test";
import { Scheduler } from "#src/scheduler/scheduler.js";
import { VirtualClock } from "#src/simulation/virtual-clock.js";
import type { SubmitOutcome } from "#src/submit/submit.js";
import { magic } from "../support/fake-tokens.js";
import { FakeLocal, textOrCode } from "../support/local.js";
import { FakeModel, impatient } from "../support/pool.js";
import { isRunning } from "../support/processes.js";

const limit = { timeout: 60_000 };

function codes(outcomes: readonly SubmitOutcome[]): string[] {
  return outcomes.map(textOrCode);
}

/** One sentence a text: its number, so that each translation is known. */
function numbers(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${index + 1}.`);
}

function assertNothingHeld({ local, pool, scheduler }: FakeLocal): void {
  assert.deepEqual(local.held, { requests: 0, items: 0, bytes: 0 });
  assert.deepEqual(pool.held, { inFlight: 0, remembered: 0 });
  assert.equal(scheduler.queued, 0);
  const { accepted, done, failed, cancelled } = local.counts.items;
  assert.equal(done + failed + cancelled, accepted, "each item ended once");
}

test(
  "texts of several sentences come back joined, in order, and bad ones fail alone",
  limit,
  async () => {
    using model = new FakeModel();
    // Of two pipelines the other one may have the last sentence: the request ends without what is left of a text that failed.
    await using fake = new FakeLocal({ model, count: 1 });
    await fake.events.next("loaded");
    const texts = ["1 2.\n 3 4. 5.", "bad", "  ", `6. ${magic.itemFailed}. 7.`, "8 9."];
    const { outcomes, summary } = await fake.submit(texts, { settings: { beams: 2, nBest: 2 } });
    assert.deepEqual(codes(outcomes), ["2 1\n 4 3 5", "input_too_long", "", "item_failed", "9 8"]);
    const done = Object.values(summary.pipelines).reduce((sum, items) => sum + items, 0);
    assert.equal(done, 6, "three, none, two and the one that failed beside them, one");
    assert.equal(summary.class, "realtime");
    assertNothingHeld(fake);
  },
);

test("kill -9 under load: every item has its one outcome", limit, async () => {
  using model = new FakeModel();
  await using fake = new FakeLocal({ model });
  await fake.events.next("loaded");
  await fake.events.next("loaded");
  const texts = [`${magic.hold}.`, ...numbers(200)];
  const done = fake.submit(texts);
  await fake.events.next("run");
  for (const { pid } of fake.pool.snapshot()) if (pid !== null) process.kill(pid, "SIGKILL");
  await fake.events.next("down");
  await fake.events.next("down");
  model.write("release");
  const { outcomes } = await done;
  assert.deepEqual(
    outcomes.map(({ index }) => index),
    texts.map((_, index) => index),
  );
  assert.deepEqual(codes(outcomes), [`${magic.hold}`, ...numbers(200).map((t) => t.slice(0, -1))]);
  assertNothingHeld(fake);
});

for (const fault of ["crash", "garbageBytes", "segfault"] as const) {
  test(`a poison (${fault}) among innocents: only the poison fails`, limit, async () => {
    using model = new FakeModel();
    await using fake = new FakeLocal({ model });
    await fake.events.next("loaded");
    const texts = numbers(12);
    texts[5] = `${magic[fault]}.`;
    const { outcomes } = await fake.submit(texts);
    const expected = numbers(12).map((text, index) =>
      index === 5 ? "item_poison" : text.slice(0, -1),
    );
    assert.deepEqual(codes(outcomes), expected);
    assertNothingHeld(fake);
  });
}

for (const [what, counter, code] of [
  ["the kernel counts its kills", risingCounter, "item_poison"],
  ["nothing counts them", () => () => null, "worker_lost"],
] as const) {
  test(
    `defect 10: an item that gets its worker killed fails alone where ${what}`,
    limit,
    async () => {
      using model = new FakeModel();
      const pool = { memoryKillCounter: counter(), attemptsMax: 5 };
      await using fake = new FakeLocal({ model, pool });
      await fake.events.next("loaded");
      const texts = numbers(12);
      texts[5] = `${magic.outOfMemory}.`;
      const { outcomes } = await fake.submit(texts);
      const expected = numbers(12).map((text, index) => (index === 5 ? code : text.slice(0, -1)));
      assert.deepEqual(codes(outcomes), expected);
      assertNothingHeld(fake);
    },
  );
}

/** The kernel kills once more each time that somebody looks. */
function risingCounter(): () => number {
  let count = 0;
  return () => {
    count += 1;
    return count;
  };
}

test(
  "defect 10: kills from outside do not make a poison of an item that is hit alone each time",
  limit,
  async () => {
    using model = new FakeModel();
    const pool = { memoryKillCounter: () => 0, attemptsMax: 5 };
    await using fake = new FakeLocal({ model, count: 1, pool });
    const done = fake.events.next("loaded").then(() => fake.submit([`${magic.hold}.`]));
    for (let kill = 1; kill < 5; kill += 1) {
      await fake.events.next("run");
      const [pipeline] = fake.pool.snapshot();
      assert.ok(pipeline?.pid);
      process.kill(pipeline.pid, "SIGKILL");
    }
    await fake.events.next("run");
    model.write("release");
    assert.deepEqual(codes((await done).outcomes), [`${magic.hold}`]);
    assertNothingHeld(fake);
  },
);

test(
  "defect 2: pipelines of the most rows that the options allow, all of them full",
  limit,
  async () => {
    using model = new FakeModel();
    const scheduler = new Scheduler({
      policy: "millrace",
      realtimeTargetMs: 200,
      ageLimitMs: 10_000,
      prefetchRows: 4_096,
    });
    const fake = new FakeLocal({
      model,
      count: 1,
      rowsMax: 4_096,
      local: {
        scheduler,
        limits: { queuedItemsMax: 100_000, queuedBytesMax: 1e9, requestInputsMax: 100_000 },
      },
    });
    await using _ = fake;
    await fake.events.next("loaded");
    const longest = `${"9 ".repeat(511)}9.`;
    const texts = [`${magic.hold}.`, ...Array.from({ length: 10_000 }, () => longest)];
    const done = fake.submit(texts, { class: "bulk" });
    await fake.events.next("run");
    // More than one item for each row that generates or waits were never to be in a pipeline, and no fewer.
    assert.ok(fake.pool.held.inFlight > 4_096, `${fake.pool.held.inFlight} in flight`);
    model.write("release");
    const { outcomes } = await done;
    assert.equal(outcomes.length, texts.length);
    assert.ok(outcomes.every(({ outcome }) => "value" in outcome));
    assert.equal(fake.pool.snapshot()[0]?.restarts, 0);
    assert.deepEqual(fake.pool.held, { inFlight: 0, remembered: 0 });
  },
);

test(
  "defect 13: a value that no task can use fails its item, and no worker ends",
  limit,
  async () => {
    using model = new FakeModel();
    await using fake = new FakeLocal({ model, count: 1 });
    await fake.events.next("loaded");
    const kinds = 11;
    const texts = Array.from({ length: kinds }, (_, kind) => [
      `${magic.badValue} ${kind}.`,
      `${kind + 1}.`,
    ]).flat();
    const { outcomes } = await fake.submit(texts);
    const expected = Array.from({ length: kinds }, (_, kind) => [
      "item_failed",
      `${kind + 1}`,
    ]).flat();
    assert.deepEqual(codes(outcomes), expected);
    assert.equal(fake.pool.snapshot()[0]?.restarts, 0);
    assertNothingHeld(fake);
  },
);

test(
  "SIGSTOP from outside: the item is tried until its attempts are used up, then worker_lost",
  limit,
  async () => {
    using model = new FakeModel();
    await using fake = new FakeLocal({ model, count: 1, pool: { ...impatient, attemptsMax: 2 } });
    await fake.events.next("loaded");
    const { outcomes } = await fake.submit([`${magic.sigstop}.`, "bad"]);
    assert.deepEqual(codes(outcomes), ["worker_lost", "input_too_long"]);
    assertNothingHeld(fake);
  },
);

test("all pipelines dead, then back: what was accepted is done", limit, async () => {
  using model = new FakeModel();
  await using fake = new FakeLocal({ model });
  await fake.events.next("loaded");
  await fake.events.next("loaded");
  const done = fake.submit([`${magic.hold}.`, "1."]);
  await fake.events.next("run");
  model.write("behaviour", "load-failed");
  for (const { pid } of fake.pool.snapshot()) if (pid !== null) process.kill(pid, "SIGKILL");
  await fake.events.next("down");
  await fake.events.next("down");
  await assert.rejects(fake.submit(["2."]), { code: "not_ready", retryable: true });
  model.write("release");
  model.write("behaviour");
  assert.deepEqual(codes((await done).outcomes), [`${magic.hold}`, "1"]);
  assertNothingHeld(fake);
});

test("a caller who leaves costs nothing further, and nothing of it stays", limit, async () => {
  using model = new FakeModel();
  await using fake = new FakeLocal({ model, count: 1 });
  await fake.events.next("loaded");
  const caller = new AbortController();
  const left = fake.submit([`${magic.hold}.`, ...numbers(20)], { signal: caller.signal });
  await fake.events.next("run");
  caller.abort();
  await assert.rejects(left, { code: "cancelled" });
  await fake.events.next("dropped");
  assertNothingHeld(fake);
  model.write("release");
  assert.deepEqual(codes((await fake.submit(["5."])).outcomes), ["5"]);
});

test("past its deadline an item fails alone, and the worker lives", limit, async () => {
  using model = new FakeModel();
  const clock = new VirtualClock();
  await using fake = new FakeLocal({ model, count: 1, local: { clock } });
  await fake.events.next("loaded");
  const late = fake.submit([`${magic.hold}.`], { deadlineAtMs: 100 });
  await fake.events.next("run");
  while (clock.now() < 100) clock.advance();
  assert.deepEqual(codes((await late).outcomes), ["deadline_exceeded"]);
  await fake.events.next("dropped");
  model.write("release");
  assert.deepEqual(codes((await fake.submit(["5."])).outcomes), ["5"]);
  assert.equal(fake.pool.snapshot()[0]?.restarts, 0);
});

test("full queues refuse at once with the time to come back", limit, async () => {
  using model = new FakeModel();
  const limits = { queuedItemsMax: 3, queuedBytesMax: 100, requestInputsMax: 10 };
  await using fake = new FakeLocal({ model, count: 1, local: { limits } });
  await fake.events.next("loaded");
  const held = fake.submit([`${magic.hold}.`, "1."]);
  await fake.events.next("run");
  const full = (error: { code?: string; retryAfterMs?: number }): boolean =>
    error.code === "queue_full" && (error.retryAfterMs ?? 0) > 0;
  await assert.rejects(fake.submit(["2.", "3."]), full);
  // One text may turn out to be too many sentences.
  await assert.rejects(fake.submit(["2. 3."]), full);
  await assert.rejects(fake.submit(["2."], { payloadBytes: 95 }), full);
  // Ten bytes of the body, and what its two pieces hold.
  assert.deepEqual(fake.local.held, { requests: 1, items: 2, bytes: 26 });
  model.write("release");
  await held;
  assertNothingHeld(fake);
});

test(
  "drain under load: what was accepted is done, new work is refused, no process stays",
  limit,
  async () => {
    using model = new FakeModel();
    const fake = new FakeLocal({ model });
    await fake.events.next("loaded");
    const pids = fake.pool.snapshot().flatMap(({ pid }) => (pid === null ? [] : [pid]));
    const accepted = fake.submit([`${magic.hold}.`, ...numbers(50)]);
    await fake.events.next("run");
    const stopped = fake.local.stop({ drainMs: 30_000 });
    await assert.rejects(fake.submit(["1."]), { code: "draining" });
    model.write("release");
    assert.equal((await accepted).outcomes.length, 51);
    await stopped;
    assert.deepEqual(pids.filter(isRunning), []);
    assertNothingHeld(fake);
  },
);

test("a drain is bounded: what is not done fails with draining", limit, async () => {
  using model = new FakeModel();
  const fake = new FakeLocal({ model, count: 1 });
  await fake.events.next("loaded");
  const accepted = fake.submit([`${magic.hold}.`, "1."]);
  await fake.events.next("run");
  await Promise.all([
    assert.rejects(accepted, { code: "draining" }),
    fake.local.stop({ drainMs: 10 }),
  ]);
  assertNothingHeld(fake);
});
