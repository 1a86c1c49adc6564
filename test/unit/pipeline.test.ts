/** The parent's side of a pipeline on a virtual clock: hours pass at once, and a child lies as the test says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { framesVersion } from "#src/frames/messages.js";
import { systemClock } from "#src/work/clock.js";
import { MadePool } from "../support/made-child.js";
import { makeItem } from "../support/pool.js";

const hello = { type: "hello", version: framesVersion, pid: 1 } as const;

const hourMs = 3_600_000;

function stateOf({ pool }: MadePool): string | undefined {
  return pool.snapshot()[0]?.state;
}

function assertNothingLeft(made: MadePool): void {
  while (made.clock.advance());
  assert.deepEqual(made.pool.held, { inFlight: 0, remembered: 0 });
}

test("waits of days neither end at once nor for ever, and none outlives a stop", async () => {
  const made = new MadePool({ backoffMinMs: 24 * hourMs, backoffMaxMs: 60 * 24 * hourMs });
  let lastMs = 0;
  const waits: number[] = [];
  for (let life = 1; life <= 9; life += 1) {
    made.child.end("SIGSEGV");
    const lives = made.children.length;
    made.passUntil(() => made.children.length > lives);
    waits.push((made.clock.nowMs - lastMs) / hourMs / 24);
    lastMs = made.clock.nowMs;
  }
  assert.deepEqual(waits.map(Math.round), [1, 2, 4, 8, 16, 32, 60, 60, 60]);
  const stopped = made.pool.stop({ drainMs: 0 });
  assert.ok(made.child.killed);
  made.child.end("SIGKILL");
  await stopped;
  assert.equal(made.clock.advance(), false, "no timer is left");
});

test("the machine's clock: a delay over the limit of timers does not end at once", async () => {
  let ended = false;
  const warnings: string[] = [];
  const onWarning = ({ name }: Error): void => void warnings.push(name);
  process.on("warning", onWarning);
  const cancel = systemClock.after(60 * 24 * hourMs, () => {
    ended = true;
  });
  const early: number[] = [];
  for (const delayMs of [0, 1, 5, 20]) {
    const fromMs = systemClock.now();
    await new Promise<void>((resolve) => systemClock.after(delayMs, resolve));
    if (systemClock.now() - fromMs < delayMs) early.push(delayMs);
  }
  cancel();
  process.off("warning", onWarning);
  assert.equal(ended, false);
  assert.deepEqual(warnings, [], "no timer was asked for more than it takes");
  assert.deepEqual(early, []);
});

test("a stop while the child starts ends it at once; one that never ends is not waited for twice", async () => {
  const made = new MadePool();
  const first = made.pool.stop({ drainMs: 0 });
  assert.equal(stateOf(made), "stopping");
  assert.ok(made.child.killed);
  made.child.startUp();
  assert.equal(stateOf(made), "stopping", "what it says now comes too late");
  made.child.end("SIGKILL");
  await Promise.all([first, made.pool.stop({ drainMs: 0 })]);
  assert.equal(stateOf(made), "stopped");
  assertNothingLeft(made);
});

test("a child that ignores the stop is killed when its time is over", async () => {
  const made = new MadePool({ stopTimeoutMs: 2_000 });
  made.child.startUp();
  const stopped = made.pool.stop({ drainMs: 0 });
  assert.equal(made.child.heard.at(-1)?.type, "stop");
  assert.equal(made.child.killed, false);
  made.passUntil(() => made.child.killed);
  assert.equal(made.clock.nowMs, 2_000);
  made.child.end("SIGKILL");
  await stopped;
  assertNothingLeft(made);
});

test("a drain ends with the last item, or with its time", async () => {
  for (const answers of [true, false]) {
    const made = new MadePool();
    made.child.startUp();
    made.pool.dispatch("p0", { batchId: 1, model: "m", class: "bulk", items: [makeItem(1, 7)] });
    const stopped = made.pool.stop({ drainMs: 30_000 });
    assert.equal(stateOf(made), "ready");
    if (answers) {
      const payload = makeItem(1, 7).payload;
      made.child.say({ type: "items", outcomes: [{ itemId: 1, ok: true, value: payload }] });
    } else {
      made.passUntil(() => made.clock.nowMs >= 30_000);
    }
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(stateOf(made), "stopping");
    made.child.end("SIGKILL");
    await stopped;
    // What came back is remembered until its owner lets it go.
    made.pool.forget([1]);
    assertNothingLeft(made);
  }
});

test("a start without a word, and a load without an end, are ended in time", () => {
  const begun = { type: "loading", model: "m" } as const;
  for (const [says, atMs, reason, code, loading] of [
    [[], 24 * hourMs, /no hello/, "start-timeout", undefined],
    // Who does not even begin hangs as with any other work, and it is not the model's fault.
    [[hello], 60_500, /silent/, "hang", null],
    [
      [hello, begun],
      24 * hourMs,
      /while it loaded m/,
      "load-timeout",
      { model: "m", isFault: true },
    ],
  ] as const) {
    const made = new MadePool({ startTimeoutMs: 24 * hourMs });
    made.child.say(...says);
    made.passUntil(() => made.child.killed);
    assert.equal(made.clock.nowMs, atMs);
    const [seen] = made.pool.snapshot();
    assert.match(seen?.reason ?? "", reason);
    assert.equal(seen?.code, code);
    assert.deepEqual(seen?.lastEnd, { code, reason: seen?.reason });
    const down = made.events.find((event) => event.type === "down");
    assert.deepEqual(down?.type === "down" ? down.loading : undefined, loading);
  }
});

test("a load that fails ends no life, and the next one is tried when its owner says so", () => {
  const made = new MadePool();
  const failed = { model: "m", code: "model_folder_invalid", message: "no graph" } as const;
  made.child.say(hello, { type: "loading", model: "m" }, { type: "load-failed", ...failed });
  assert.equal(stateOf(made), "ready");
  const event = made.events.find(({ type }) => type === "load-failed");
  const reason = "model_folder_invalid: no graph";
  const told = { type: "load-failed", pipelineId: "p0", model: "m", reason, isBroken: true };
  assert.deepEqual(event, told);
  made.pool.load("p0", { model: "n", modelDir: "/n", rowsMax: 8 });
  assert.equal(made.child.heard.filter(({ type }) => type === "load").length, 2);
  assert.equal(made.pool.snapshot()[0]?.restarts, 0);
});

test("a process that ends while it loads blames the model and none of its items", () => {
  const made = new MadePool();
  made.child.startUp();
  const items = [makeItem(1, 7), makeItem(2, 7)];
  made.pool.dispatch("p0", { batchId: 1, model: "m", class: "bulk", items });
  const run = { model: "m", stage: "s", rows: 1, width: 1, predictedMs: 1, memoryBytes: 1 };
  made.child.say({ type: "run", ...run, begunItemIds: [1] });
  made.pool.load("p0", { model: "n", modelDir: "/n", rowsMax: 8 });
  made.child.say({ type: "loading", model: "n" });
  made.child.end("SIGSEGV");
  const ends = made.events.filter(({ type }) => type === "down" || type === "returned");
  const loading = { model: "n", isFault: true };
  const reason = "crashed with SIGSEGV, while it loaded n";
  assert.deepEqual(ends, [
    { type: "down", pipelineId: "p0", reason, loading },
    { type: "returned", pipelineId: "p0", innocent: [1, 2], groups: [], failed: [] },
  ]);
});

test("what a child says of loads that nobody asked for is a lie", () => {
  const loaded = { model: "m", loads: 2, modelBytes: 1, memoryBytes: 1, ms: 1 };
  for (const lie of [
    { type: "loading", model: "m" },
    { type: "loaded", ...loaded },
    { type: "load-failed", model: "m", code: "internal", message: "" },
    { type: "unloaded", model: "m", memoryBytes: 1 },
  ] as const) {
    const made = new MadePool();
    made.child.startUp();
    made.child.say(lie);
    assert.ok(made.child.killed, lie.type);
  }
});

test("a silent child is suspected, then replaced, and its frames come too late", () => {
  const made = new MadePool({
    sample: () => ({ cpuMs: 5, stopped: false, runnable: false }),
    stillChecksMax: 2,
  });
  made.child.startUp();
  made.pool.dispatch("p0", { batchId: 1, model: "m", class: "bulk", items: [makeItem(1, 7)] });
  made.passUntil(() => stateOf(made) === "suspect");
  const [child] = made.children;
  made.passUntil(() => stateOf(made) === "backing-off");
  assert.ok(child?.killed);
  const { payload } = makeItem(1, 7);
  child.say({ type: "items", outcomes: [{ itemId: 1, ok: true, value: payload }] });
  assert.ok(!made.events.some(({ type }) => type === "outcome"));
  assert.deepEqual(made.pool.held, { inFlight: 0, remembered: 1 });
});

test("a dispatch is refused whole, before anything is written", () => {
  const made = new MadePool();
  const batch = {
    batchId: 1,
    model: "m",
    class: "bulk",
    items: [makeItem(1, 7), makeItem(2, 7)],
  } as const;
  assert.throws(() => made.pool.dispatch("p0", batch), /not up/);
  made.child.startUp();
  made.pool.dispatch("p0", { ...batch, items: [makeItem(2, 7)] });
  assert.throws(() => made.pool.dispatch("p0", batch), /in flight/);
  assert.throws(
    () => made.pool.dispatch("p0", { ...batch, items: [makeItem(3, 7), makeItem(3, 7)] }),
    /twice/,
  );
  assert.equal(made.pool.held.inFlight, 1);
});

test("defect 2: how much a pipeline holds is its owner's decision", () => {
  const made = new MadePool();
  made.child.startUp();
  const items = Array.from({ length: 20_000 }, (_, itemId) => makeItem(itemId, 7));
  made.pool.dispatch("p0", { batchId: 1, model: "m", class: "bulk", items });
  assert.equal(made.pool.held.inFlight, 20_000);
});

test("defect 10: a kill that the kernel counted blames what was begun, an operator's blames nobody", () => {
  for (const counted of [true, false]) {
    let kills = 0;
    const made = new MadePool({ memoryKillCounter: () => kills });
    made.child.startUp();
    made.pool.dispatch("p0", {
      batchId: 1,
      model: "m",
      class: "bulk",
      items: [makeItem(1, 7), makeItem(2, 7)],
    });
    const run = { model: "m", stage: "s", rows: 1, width: 1, predictedMs: 1, memoryBytes: 1 };
    made.child.say({ type: "run", ...run, begunItemIds: [1] });
    if (counted) kills += 1;
    made.child.end("SIGKILL");
    const returned = made.events.find((event) => event.type === "returned");
    assert.ok(returned?.type === "returned");
    assert.deepEqual(returned.groups, counted ? [[1]] : []);
    assert.deepEqual(returned.innocent, counted ? [2] : [1, 2]);
  }
});

test("a child that sends back what was not recalled, among what was, takes nothing with it", async () => {
  const made = new MadePool();
  made.child.startUp();
  const items = [1, 2, 3, 4].map((itemId) => makeItem(itemId, itemId));
  made.pool.dispatch("p0", { batchId: 1, model: "m", class: "bulk", items });
  made.pool.cancel("p0", [4]);
  made.pool.recall("p0", [1, 2, 3]);
  made.child.say({ type: "recalled", itemIds: [] });
  made.pool.cancel("p0", [3]);
  made.child.say({ type: "recalled", itemIds: [1, 99] });
  const ends = made.events.flatMap((event) => {
    if (event.type === "dropped") return event.itemIds.map((itemId) => `${itemId} dropped`);
    return event.type === "returned" ? event.innocent.map((itemId) => `${itemId} returned`) : [];
  });
  assert.deepEqual(ends, ["4 dropped", "3 dropped", "1 returned", "2 returned"]);
  made.pool.forget([1, 2]);
  made.child.end("SIGKILL");
  await made.pool.stop({ drainMs: 0 });
  assertNothingLeft(made);
});
