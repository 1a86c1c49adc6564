/** Durable jobs of several servers over one NATS: real stores, queues and runners; the route is made up. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { RouteCall, RouteReply } from "#src/jobs/jobs.js";
import { anyCaller } from "#src/work/caller.js";
import { type LinkedStore, openLinkedStore } from "../support/jetstream-store.js";
import {
  capitals,
  contentOf,
  linesOfAll,
  type MadeWork,
  made,
  text,
  whenEnded,
} from "../support/job-work.js";
import { NatsServer, skipWithoutNats } from "../support/nats-server.js";

const skip = skipWithoutNats;

async function serverOn(
  { store }: LinkedStore,
  callRoute: (call: RouteCall, signal: AbortSignal) => Promise<RouteReply> = capitals,
): Promise<MadeWork> {
  const queue = store.openQueue({ ackWaitMs: 2_000 });
  return await made({ store, queue, callRoute });
}

function numbersAs(count: number): { readonly lines: AsyncIterable<Uint8Array> } {
  const lines = Array.from({ length: count }, (_, at) => `"t ${at}"\n`);
  return { lines: text(lines.join("")) };
}

const form = { kind: "native", task: "translate", model: null, fields: {} } as const;

test("a job of one server is run by all, one ends it, and each reads all of its results", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  await using b = await openLinkedStore(nats.url);
  const [first, second] = [await serverOn(a), await serverOn(b)];
  const lines = 128 * 24;
  const { job } = await first.jobs.create(anyCaller, { form, input: numbersAs(lines) });
  const ended = await whenEnded(second, job.id);
  assert.equal(ended.state, "completed");
  assert.equal(ended.progress.succeeded, lines);
  assert.ok(first.calls.length > 0 && second.calls.length > 0);
  const results = await linesOfAll(second, job.id);
  assert.deepEqual(
    results.map(({ json }) => JSON.parse(json) as unknown),
    Array.from({ length: lines }, (_, line) => ({ line, text: `T ${line}` })),
  );
  assert.deepEqual(await linesOfAll(first, job.id), results);
  const { outputFileId } = ended;
  if (outputFileId !== null) {
    assert.equal(await contentOf(first, outputFileId), await contentOf(second, outputFileId));
  }
  await Promise.all([first.stop({ drainMs: 1_000 }), second.stop({ drainMs: 1_000 })]);
});

test("a server that hangs in the midst of its chunks: the other one ends the job, each line once", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  await using b = await openLinkedStore(nats.url);
  const hangs = (_: RouteCall, signal: AbortSignal): Promise<RouteReply> =>
    new Promise((_resolve, reject) => {
      signal.addEventListener("abort", () => reject(signal.reason as Error));
    });
  const hung = await serverOn(a, hangs);
  const lines = 128 * 12;
  const { job } = await hung.jobs.create(anyCaller, { form, input: numbersAs(lines) });
  while (hung.calls.length === 0) await a.store.job(job.id);
  // Cut off from NATS, as by a partition: it says of its chunks nothing any more.
  await a.link.close();
  const other = await serverOn(b);
  const ended = await whenEnded(other, job.id);
  assert.equal(ended.state, "completed");
  const results = await linesOfAll(other, job.id);
  assert.deepEqual(
    results.map(({ line }) => line),
    Array.from({ length: lines }, (_, line) => line),
  );
  await other.stop({ drainMs: 1_000 });
  await hung.stop({ drainMs: 0 });
});
