import assert from "node:assert/strict";
import { test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import { OverflowSubmit } from "#src/backend/overflow-submit.js";
import { EchoSubmit } from "../support/echo-submit.js";

const up = { state: "ready", items: { inFlight: 0, done: 0, failed: 0 }, doing: null };

/** `queued`: items before it here; `waitMs`: what the other node says. */
function overflow({ queued = 0, waitMs = 0, hasOther = true, model = "m", isInLots = false } = {}) {
  const local = new EchoSubmit();
  const others = Object.assign(new EchoSubmit(), { isWorthLots: () => isInLots });
  const queue = { model: "m", class: "realtime", items: queued };
  const status = { pipelines: [up], queues: [queue], stages: [{ model: "m", ms: 400 }] };
  const its = { name: "m", ready: true, loadMs: 0, itemMs: 10 };
  const entry = { instance: "other", isDraining: false, pipelines: 1, models: [its] };
  const waits = { realtimeMs: waitMs, bulkMs: waitMs };
  const submit = new OverflowSubmit({
    local,
    others,
    directory: { nodes: hasOther ? [{ entry, waits }] : [] },
    node: {
      models: () => [{ name: "m" }],
      tasksOf: (name: string) => (name === "m" ? ["translate"] : []),
    },
    views: {
      status: () => status,
      statistics: () => [{ model: "m", inputs: 40 }],
      identity: { node: "here" },
    },
    link: { connected: {}, instance: "own" },
  } as never);
  let inputs = 0;
  const ask = () =>
    submit.submit(
      {
        id: "r",
        task: "translate",
        model,
        fields: { texts: ["ab"] },
        class: null,
        tenant: "t",
        deadlineAtMs: null,
        payloadBytes: 1,
      },
      new AbortController().signal,
      { onInputs: () => (inputs += 1), onOutcome: () => {} },
    );
  return { local, others, ask, inputs: () => inputs };
}

test("here where that is as good, and the summary says which node", async () => {
  const { local, others, ask } = overflow({ queued: 2 });
  const { pipelines } = await ask();
  assert.deepEqual(pipelines, { "here/echo-0": 1 });
  assert.deepEqual([local.seen.length, others.seen.length], [1, 0]);
});

test("a large request that others have time for goes to all", async () => {
  const shared = overflow({ isInLots: true });
  await shared.ask();
  assert.deepEqual([shared.local.seen.length, shared.others.seen.length], [0, 1]);
});

test("elsewhere where it would be sooner, or where alone it is served", async () => {
  for (const shape of [{ queued: 20 }, { model: "theirs" }]) {
    const { local, others, ask } = overflow(shape);
    await ask();
    assert.deepEqual([local.seen.length, others.seen.length], [0, 1]);
  }
  const { local, ask } = overflow({ queued: 20, waitMs: 190 });
  await ask();
  assert.equal(local.seen.length, 1, "there it would not be sooner");
});

test("what is full here goes elsewhere, and its inputs are counted once; nobody else is asked of a mistake", async () => {
  const full = overflow();
  full.local.refuseWith = new MillraceError("queue_full", "full");
  await full.ask();
  assert.deepEqual([full.others.seen.length, full.inputs()], [1, 1]);
  const alone = overflow({ hasOther: false });
  alone.local.refuseWith = new MillraceError("queue_full", "full");
  await assert.rejects(alone.ask(), { code: "queue_full" });
  const wrong = overflow();
  wrong.local.refuseWith = new MillraceError("bad_request", "no");
  await assert.rejects(wrong.ask(), { code: "bad_request" });
  assert.equal(wrong.others.seen.length, 0);
});
