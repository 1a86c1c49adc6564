/** Defects of durable jobs of several servers over one NATS that were found by attacking them. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openAccess } from "#src/access/access.js";
import { amongServers } from "#src/access/deployment-access.js";
import { openKeyedAccess } from "#src/access/keyed-access.js";
import type { RouteCall, RouteReply } from "#src/jobs/jobs.js";
import { createLog } from "#src/log.js";
import { anyCaller } from "#src/work/caller.js";
import { openLinkedStore } from "../support/jetstream-store.js";
import { capitals, linesOfAll, made, text, textsOf, whenEnded } from "../support/job-work.js";
import { Keys } from "../support/keys.js";
import { NatsServer, skipWithoutNats } from "../support/nats-server.js";
import { until } from "../support/until.js";

const options = { skip: skipWithoutNats, timeout: 60_000 };
const form = { kind: "native", task: "translate", model: null, fields: {} } as const;

function linesOf(texts: readonly string[]): { readonly lines: AsyncIterable<Uint8Array> } {
  return { lines: text(texts.map((each) => `${JSON.stringify(each)}\n`).join("")) };
}

/** What is before the text `held` is done; it and what is behind it wait until whoever asks leaves. */
function held(): {
  readonly callRoute: (call: RouteCall, signal: AbortSignal) => Promise<RouteReply>;
  readonly begun: Promise<void>;
} {
  let begin = (): void => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const callRoute = async (call: RouteCall, signal: AbortSignal): Promise<RouteReply> => {
    const at = textsOf(call).indexOf("held");
    if (at === -1) return await capitals(call);
    begin();
    await new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
      if (signal.aborted) resolve();
    });
    const done = (await capitals(call)).text.split("\n").slice(0, at);
    return { status: 200, text: `${[...done, '{"error":{"code":"cancelled"}}'].join("\n")}\n` };
  };
  return { callRoute, begun };
}

test(
  "defect: a server starts while NATS is away; its jobs are refused until it is there, and then run",
  options,
  async () => {
    await using nats = await NatsServer.start();
    const keptMs = Date.now() + 3_600_000;
    {
      await using before = await openLinkedStore(nats.url);
      // A clock that was ahead: what is kept does not become young again.
      await before.store.keepTimeMs(keptMs);
    }
    await nats.stop();
    await using linked = await openLinkedStore(nats.url, { waitMsMax: 300 });
    const { store } = linked;
    await using work = await made({ store, queue: store.openQueue() });
    assert.notEqual(store.reason(), null);
    await assert.rejects(work.jobs.create(anyCaller, { form, input: linesOf(["a"]) }), {
      code: "job_store_failed",
    });
    await nats.start();
    await until(() => store.reason() === null);
    // The first look keeps the time.
    await until(async () => (await store.keptTimeMs()) > keptMs);
    const { job } = await work.jobs.create(anyCaller, { form, input: linesOf(["a", "b"]) });
    assert.equal((await whenEnded(work, job.id)).progress.succeeded, 2);
    assert.ok(job.createdAtMs > Date.now() + 3_000_000);
  },
);

for (const [end, state] of [
  ["cancelled", "cancelled"],
  ["late", "expired"],
] as const) {
  test(
    `defect: a job that is ${end} at one server is left by those that run it, and what they had done is kept`,
    options,
    async () => {
      await using nats = await NatsServer.start();
      await using a = await openLinkedStore(nats.url);
      await using b = await openLinkedStore(nats.url);
      // A node: it hears nothing of jobs, and keeps none.
      await using c = await openLinkedStore(nats.url, { hearsAll: false });
      const [atB, atC] = [held(), held()];
      await using asked = await made({ store: a.store, queue: a.store.openQueue(), runs: false });
      await using one = await made({
        store: b.store,
        queue: b.store.openQueue(),
        callRoute: atB.callRoute,
      });
      await using two = await made({
        store: c.store,
        queue: c.store.openQueue(),
        callRoute: atC.callRoute,
        keeps: false,
      });
      // Two chunks that are half done, each on its own server or both on one.
      const chunk = Array.from({ length: 128 }, (_, at) => (at === 40 ? "held" : `t ${at}`));
      const deadlineMs = end === "late" ? 1_500 : undefined;
      const { job } = await asked.jobs.create(anyCaller, {
        form,
        input: linesOf([...chunk, ...chunk]),
        ...(deadlineMs === undefined ? {} : { deadlineMs }),
      });
      await Promise.race([atB.begun, atC.begun]);
      await until(() => one.calls.length + two.calls.length >= 2);
      if (end === "cancelled") await asked.jobs.cancel(anyCaller, job.id);
      const ended = await whenEnded(asked, job.id);
      assert.equal(ended.state, state);
      assert.equal(ended.progress.succeeded, 80);
      const results = await linesOfAll(asked, job.id);
      const done = results.filter(({ isError }) => !isError).map(({ line }) => line);
      const each = Array.from({ length: 40 }, (_, at) => at);
      assert.deepEqual(done, [...each, ...each.map((at) => at + 128)]);
    },
  );
}

test(
  "defect: a job that one server has failed is left by the others at once",
  options,
  async () => {
    await using nats = await NatsServer.start();
    await using a = await openLinkedStore(nats.url);
    await using b = await openLinkedStore(nats.url);
    await using asked = await made({ store: a.store, queue: a.store.openQueue(), runs: false });
    const { callRoute, begun } = held();
    let left = (): void => {};
    const isLeft = new Promise<void>((resolve) => {
      left = resolve;
    });
    await using runs = await made({
      store: b.store,
      queue: b.store.openQueue(),
      callRoute: (call, signal) => {
        signal.addEventListener("abort", () => left(), { once: true });
        return callRoute(call, signal);
      },
    });
    const { job } = await asked.jobs.create(anyCaller, { form, input: linesOf(["a", "held"]) });
    await begun;
    assert.equal(runs.calls.length, 1);
    const now = Date.now();
    await a.store.changeJob(job.id, () => ({
      state: "failed",
      endedAtMs: now,
      expiresAtMs: now + 9_999,
    }));
    await isLeft;
  },
);

test("defect: the caller of a job is believed where its key is another file's, and not where it was seen to go", async () => {
  await using mine = await Keys.make();
  await using others = await Keys.make();
  const key = await mine.add("shop", { models: ["m"] });
  await others.add("other");
  const log = createLog({ log: "json", logLevel: "silent", destination: { write: () => {} } });
  const edge = await openKeyedAccess({ path: mine.path, log });
  const node = await openKeyedAccess({ path: others.path, log });
  const caller = edge.callerOf(key);
  const ofJob = { ...caller, jobTenant: "shop" };
  assert.equal(node.standing(caller), "stranger");
  assert.equal(amongServers(node).renewed(ofJob), ofJob);
  // Who comes in at its own door is no caller of a job.
  assert.throws(() => amongServers(node).renewed(caller), { code: "unauthenticated" });
  assert.equal(edge.standing(caller), "known");
  await mine.revoke("shop");
  await until(() => edge.standing(caller) === "revoked");
  assert.throws(() => amongServers(edge).renewed(ofJob), { code: "unauthenticated" });
  await Promise.all([edge.close(), node.close()]);
});

test(
  "defect: a job whose key is gone at the server that let it in ends, whoever runs it",
  options,
  async () => {
    await using nats = await NatsServer.start();
    await using a = await openLinkedStore(nats.url);
    await using b = await openLinkedStore(nats.url);
    let isRevoked = false;
    await using asked = await made({
      store: a.store,
      queue: a.store.openQueue(),
      runs: false,
      keys: { ...openAccess, standing: () => (isRevoked ? "revoked" : "known") },
    });
    const { callRoute, begun } = held();
    await using runs = await made({ store: b.store, queue: b.store.openQueue(), callRoute });
    const { job } = await asked.jobs.create(anyCaller, { form, input: linesOf(["a", "held"]) });
    await begun;
    isRevoked = true;
    const ended = await whenEnded(runs, job.id);
    assert.equal(ended.state, "failed");
    assert.equal(ended.errors[0]?.code, "unauthenticated");
  },
);
