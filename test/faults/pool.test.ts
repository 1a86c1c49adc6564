import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { readHypotheses } from "#src/work/generation.js";
import { magic } from "../support/fake-tokens.js";
import { FakeModel, FakePool, impatient, makeItem } from "../support/pool.js";
import { isRunning } from "../support/processes.js";

const limit = { timeout: 60_000 };

function pidOf({ pool }: FakePool): number {
  const pid = pool.snapshot()[0]?.pid;
  assert(typeof pid === "number");
  return pid;
}

test("a pipeline starts, answers, and is gone when the pool stops", limit, async () => {
  using model = new FakeModel();
  const fake = new FakePool({ model });
  assert.equal(fake.pool.snapshot()[0]?.state, "starting");
  await fake.events.next("loaded");
  const pid = pidOf(fake);
  fake.dispatch(1, [makeItem(1, 5, 6), makeItem(2, magic.itemFailed)]);
  const first = await fake.events.next("outcome");
  assert(first.outcome.ok);
  assert.deepEqual(readHypotheses(first.outcome.value)?.[0]?.tokenIds, [6, 5]);
  const second = await fake.events.next("outcome");
  assert.equal(second.outcome.ok, false);
  assert.equal((await fake.events.next("measured")).stages[0]?.stage, "fake");
  assert.deepEqual(fake.pool.held, { inFlight: 0, remembered: 0 });
  assert.deepEqual(fake.pool.snapshot()[0]?.items, { inFlight: 0, done: 1, failed: 1 });
  await fake.pool.stop({ drainMs: 0 });
  assert.equal(isRunning(pid), false);
  assert.equal(fake.pool.snapshot()[0]?.state, "stopped");
});

test("kill -9 mid-batch blames nobody, and the pipeline comes back", limit, async () => {
  using model = new FakeModel();
  await using fake = new FakePool({ model });
  await fake.events.next("loaded");
  const pid = pidOf(fake);
  fake.dispatch(1, [makeItem(1, magic.hold), makeItem(2, 7)]);
  await fake.events.next("run");
  process.kill(pid, "SIGKILL");
  assert.match((await fake.events.next("down")).reason, /SIGKILL/);
  const returned = await fake.events.next("returned");
  assert.deepEqual(returned, {
    type: "returned",
    pipelineId: "p0",
    innocent: [1, 2],
    groups: [],
    failed: [],
  });
  model.write("release");
  await fake.events.next("loaded");
  assert.notEqual(pidOf(fake), pid);
  assert.equal(fake.pool.snapshot()[0]?.restarts, 1);
  fake.dispatch(2, [makeItem(1, magic.hold), makeItem(2, 7)]);
  assert.equal((await fake.events.next("outcome")).attempt, 2);
  await fake.events.next("outcome");
  assert.deepEqual(fake.pool.held, { inFlight: 0, remembered: 0 });
});

for (const [fault, reason] of [
  ["crash", /code 3/],
  ["segfault", /SIGSEGV/],
  ["exitZero", /code 0/],
  ["garbageBytes", /bytes/],
  ["silent", /no processor time/],
] as const) {
  test(`${fault}: those begun are suspects, those waiting are innocent`, limit, async () => {
    using model = new FakeModel();
    await using fake = new FakePool({ model, ...impatient });
    await fake.events.next("loaded");
    fake.dispatch(1, [makeItem(1, magic[fault]), makeItem(2, 7), makeItem(3, 7)]);
    fake.dispatch(2, [makeItem(4, 7)]);
    assert.match((await fake.events.next("down")).reason, reason);
    const { innocent, groups, failed } = await fake.events.next("returned");
    assert.deepEqual(
      { innocent, groups, failed },
      { innocent: [4], groups: [[1, 2], [3]], failed: [] },
    );
  });
}

test("a busy loop that uses the processor ends only at the hard limit", limit, async () => {
  using model = new FakeModel();
  await using fake = new FakePool({ model, ...impatient, checkMs: 300, runMsMax: 1_500 });
  await fake.events.next("loaded");
  fake.dispatch(1, [makeItem(1, magic.busyLoop)]);
  const { reason } = await fake.events.next("down");
  assert.match(reason, /silent/);
  assert.doesNotMatch(reason, /processor time/);
  assert.deepEqual((await fake.events.next("returned")).groups, [[1]]);
});

test("SIGSTOP is found as a hang, and blames nobody", limit, async () => {
  using model = new FakeModel();
  await using fake = new FakePool({ model, ...impatient });
  await fake.events.next("loaded");
  const pid = pidOf(fake);
  fake.dispatch(1, [makeItem(1, magic.sigstop)]);
  assert.match((await fake.events.next("down")).reason, /stopped from outside/);
  assert.deepEqual((await fake.events.next("returned")).innocent, [1]);
  await fake.events.next("loaded");
  assert.equal(isRunning(pid), false);
});

test(
  "a child that takes work and never announces it is replaced, blaming nobody",
  limit,
  async () => {
    using model = new FakeModel();
    await using fake = new FakePool({ model, ...impatient });
    await fake.events.next("loaded");
    fake.dispatch(1, [makeItem(1, magic.unannounced)]);
    assert.deepEqual((await fake.events.next("returned")).innocent, [1]);
  },
);

for (const fault of ["duplicateResult", "unknownResult"] as const) {
  test(`${fault} is a lie: the first result stands, the rest is settled`, limit, async () => {
    using model = new FakeModel();
    await using fake = new FakePool({ model });
    await fake.events.next("loaded");
    fake.dispatch(1, [makeItem(1, magic[fault]), makeItem(2, magic.silent)]);
    assert.equal((await fake.events.next("outcome")).itemId, 1);
    assert.match((await fake.events.next("down")).reason, /does not have/);
    assert.deepEqual((await fake.events.next("returned")).groups, [[2]]);
    const outcomes = fake.events.all.filter(({ type }) => type === "outcome");
    assert.equal(outcomes.length, 1);
  });
}

for (const [fault, reason] of [
  ["talkative", /talks without end/],
  ["manyBegun", /more items than it has/],
] as const) {
  test(`${fault}: what takes the server's time without end is a lie`, limit, async () => {
    using model = new FakeModel();
    await using fake = new FakePool({ model });
    await fake.events.next("loaded");
    fake.dispatch(1, [makeItem(1, magic[fault]), makeItem(2, 7)]);
    assert.match((await fake.events.next("down")).reason, reason);
    assert.deepEqual((await fake.events.next("returned")).groups, [[1], [2]]);
  });
}

test(
  "defect 2: an item that fits into no frame fails alone, and its neighbours are done",
  limit,
  async () => {
    using model = new FakeModel();
    await using fake = new FakePool({ model });
    await fake.events.next("loaded");
    const good = makeItem(1, 7);
    const values = { ...good.payload.values, text: "x".repeat(2_000_000) };
    const large = { itemId: 2, payload: { ...good.payload, values } };
    fake.dispatch(1, [large, good]);
    const ends = [await fake.events.next("outcome"), await fake.events.next("outcome")];
    const byItem = new Map(ends.map(({ itemId, outcome }) => [itemId, outcome]));
    assert.equal(byItem.get(1)?.ok, true);
    assert.ok(byItem.get(2)?.ok === false);
    assert.deepEqual(fake.pool.held, { inFlight: 0, remembered: 0 });
    assert.deepEqual(fake.pool.snapshot()[0]?.items, { inFlight: 0, done: 1, failed: 1 });
    assert.equal(fake.pool.snapshot()[0]?.restarts, 0);
  },
);

test("restarts take back every descriptor", limit, async () => {
  using model = new FakeModel();
  await using fake = new FakePool({ model, memoryKillCounter: () => 0 });
  const open: number[] = [];
  for (let life = 0; life < 12; life += 1) {
    await fake.events.next("loaded");
    open.push(readdirSync("/proc/self/fd").length);
    process.kill(pidOf(fake), "SIGKILL");
  }
  // The pipes of the process before may still be closing: one life's descriptors, and never those of all.
  assert.ok(Math.max(...open) <= (open[0] ?? 0) + 8, open.join());
});

test("an item that ends a pipeline twice while alone is the poison", limit, async () => {
  using model = new FakeModel();
  await using fake = new FakePool({ model });
  for (const batchId of [1, 2]) {
    await fake.events.next("loaded");
    fake.dispatch(batchId, [makeItem(1, magic.crash)]);
    const { groups, failed } = await fake.events.next("returned");
    if (batchId === 1) assert.deepEqual(groups, [[1]]);
    else assert.equal(failed[0]?.error.code, "item_poison");
  }
  assert.deepEqual(fake.pool.held, { inFlight: 0, remembered: 0 });
});

test(
  "cancelled items leave the ledger when the child confirms, or with their late result",
  limit,
  async () => {
    using model = new FakeModel();
    await using fake = new FakePool({ model });
    await fake.events.next("loaded");
    fake.dispatch(1, [makeItem(1, magic.hold)]);
    fake.dispatch(2, [makeItem(2, 5), makeItem(3, 5)]);
    await fake.events.next("run");
    fake.pool.cancel("p0", [2]);
    assert.deepEqual((await fake.events.next("dropped")).itemIds, [2]);
    fake.pool.recall("p0", [3]);
    assert.deepEqual((await fake.events.next("returned")).innocent, [3]);
    fake.pool.cancel("p0", [1]);
    assert.deepEqual((await fake.events.next("dropped")).itemIds, [1]);
    assert.deepEqual(fake.pool.held, { inFlight: 0, remembered: 0 });
  },
);

test(
  "a load that fails says why, and the process loads again when it is told to",
  limit,
  async () => {
    using model = new FakeModel();
    model.write("behaviour", "load-failed");
    await using fake = new FakePool({ model });
    assert.match((await fake.events.next("load-failed")).reason, /told to fail/);
    model.write("behaviour", "");
    fake.pool.load("p0", { model: "fake", modelDir: model.dir, rowsMax: 8 });
    await fake.events.next("loaded");
    assert.equal(fake.pool.snapshot()[0]?.restarts, 0);
  },
);

test(
  "a process that dies while it loads blames the model, and comes back without it",
  limit,
  async () => {
    using model = new FakeModel();
    model.write("behaviour", "dies-loading");
    await using fake = new FakePool({ model });
    const { loading } = await fake.events.next("down");
    assert.deepEqual(loading, { model: "fake", isFault: true });
    model.write("behaviour", "");
    await fake.events.next("loaded");
    assert.deepEqual(
      fake.pool.snapshot()[0]?.models.map(({ model: name, state }) => [name, state]),
      [["fake", "resident"]],
    );
  },
);

test("a load that takes too long is ended, with the reason in the status", limit, async () => {
  using model = new FakeModel();
  model.write("behaviour", "never-loaded");
  const { promise, warn } = nextWarning();
  await using fake = new FakePool({
    model,
    startTimeoutMs: 1_000,
    backoffMinMs: 60_000,
    backoffMaxMs: 60_000,
    log: { info: () => {}, warn },
  });
  await promise;
  const status = fake.pool.snapshot()[0];
  assert.equal(status?.state, "backing-off");
  assert.match(status?.reason ?? "", /fake was not loaded within 1000 ms/);
});

for (const [behaviour, version, reason] of [
  ["", "999", /version 999/],
  ["early-result", undefined, /does not have/],
] as const) {
  test(`a start that breaks the protocol is refused: ${reason.source}`, limit, async () => {
    using model = new FakeModel();
    model.write("behaviour", behaviour);
    if (version !== undefined) process.env["FAKE_RUNTIME_VERSION"] = version;
    const { promise, warn } = nextWarning();
    await using fake = new FakePool({ model, log: { info: () => {}, warn } });
    assert.match(await promise, reason);
    delete process.env["FAKE_RUNTIME_VERSION"];
    model.write("behaviour");
    await fake.events.next("loaded");
  });
}

test("a stop is bounded: a child that does not hear is killed", limit, async () => {
  using model = new FakeModel();
  const fake = new FakePool({ model, stopTimeoutMs: 100 });
  await fake.events.next("loaded");
  const pid = pidOf(fake);
  fake.dispatch(1, [makeItem(1, magic.busyLoop)]);
  await fake.events.next("run");
  await fake.pool.stop({ drainMs: 0 });
  assert.deepEqual((await fake.events.next("returned")).innocent, [1]);
  assert.equal(isRunning(pid), false);
});

test("signals to the whole group leave the child to its parent", limit, async () => {
  using model = new FakeModel();
  await using fake = new FakePool({ model });
  await fake.events.next("loaded");
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) process.kill(pidOf(fake), signal);
  fake.dispatch(1, [makeItem(1, 7)]);
  assert.ok((await fake.events.next("outcome")).outcome.ok);
  assert.equal(fake.pool.snapshot()[0]?.restarts, 0);
});

test("lines that a child prints go to the log under its name", limit, async () => {
  using model = new FakeModel();
  model.write("behaviour", "chatty");
  let heard = (_line: [object, string]): void => {};
  const line = new Promise<[object, string]>((resolve) => {
    heard = resolve;
  });
  const log = { warn: (): void => {}, info: (...args: [object, string]) => heard(args) };
  await using fake = new FakePool({ model, log });
  assert.deepEqual(await line, [{ pipelineId: "p0", stream: "stderr" }, "a line for the log"]);
  await fake.events.next("loaded");
});

test(
  "a script that does not exist is named as the reason, without an end to the tries",
  limit,
  async () => {
    using model = new FakeModel();
    const { promise, warn } = nextWarning();
    await using fake = new FakePool({
      model,
      entry: "no-such-script.js",
      log: { info: () => {}, warn },
    });
    assert.match(await promise, /exited with code 1/);
    assert.match(fake.pool.snapshot()[0]?.reason ?? "", /code 1/);
  },
);

function nextWarning(): { promise: Promise<string>; warn: (_: object, message: string) => void } {
  let heard = (_message: string): void => {};
  const promise = new Promise<string>((resolve) => {
    heard = resolve;
  });
  return { promise, warn: (_, message) => heard(message) };
}
