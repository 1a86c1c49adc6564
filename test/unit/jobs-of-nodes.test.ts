/** Durable jobs where some servers run lines and keep nothing (`--role node`): others accept, hear of results, and end. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { jetstreamManager } from "@nats-io/jetstream";
import { MillraceError } from "millrace-client/wire";
import { Names } from "#src/jobs/jetstream/names.js";
import { RecordIndex } from "#src/jobs/jetstream/records.js";
import type { RouteCall, RouteReply } from "#src/jobs/jobs.js";
import { anyCaller } from "#src/work/caller.js";
import { type LinkedStore, openLinkedStore } from "../support/jetstream-store.js";
import {
  linesOfAll,
  type MadeOptions,
  type MadeWork,
  made,
  text,
  whenEnded,
} from "../support/job-work.js";
import { NatsServer, skipWithoutNats } from "../support/nats-server.js";
import { until } from "../support/until.js";

const options = { skip: skipWithoutNats, timeout: 60_000 };
const form = { kind: "native", task: "translate", model: null, fields: {} } as const;

function numbersAs(count: number): { readonly lines: AsyncIterable<Uint8Array> } {
  return { lines: text(Array.from({ length: count }, (_, at) => `"t ${at}"\n`).join("")) };
}

async function edgeOn({ store }: LinkedStore): Promise<MadeWork> {
  return await made({ store, queue: store.openQueue({ ackWaitMs: 1_000 }), runs: false });
}

async function nodeOn(
  { store }: LinkedStore,
  rest: Pick<MadeOptions, "callRoute"> = {},
): Promise<MadeWork> {
  return await made({ store, queue: store.openQueue({ ackWaitMs: 1_000 }), keeps: false, ...rest });
}

/** How many servers hear of records, and how many of results: a consumer each. */
async function listeners(linked: LinkedStore): Promise<readonly number[]> {
  const jsm = await jetstreamManager(linked.link.connection);
  const streams = ["test-records", "test-results"];
  return await Promise.all(
    streams.map(async (stream) => (await jsm.streams.info(stream)).state.consumer_count),
  );
}

test(
  "a job is run by servers that hear nothing of it, and ended by the one that hears all",
  options,
  async () => {
    await using nats = await NatsServer.start();
    await using a = await openLinkedStore(nats.url);
    await using b = await openLinkedStore(nats.url, { hearsAll: false });
    await using c = await openLinkedStore(nats.url, { hearsAll: false });
    await using edge = await edgeOn(a);
    await using first = await nodeOn(b);
    await using second = await nodeOn(c);
    const lines = 128 * 24;
    const { job } = await edge.jobs.create(anyCaller, { form, input: numbersAs(lines) });
    const ended = await whenEnded(edge, job.id);
    assert.equal(ended.state, "completed");
    assert.equal(ended.progress.succeeded, lines);
    assert.ok(first.calls.length > 0 && second.calls.length > 0);
    assert.equal(first.calls.length + second.calls.length, 24);
    const results = await linesOfAll(edge, job.id);
    assert.deepEqual(
      results.map(({ json }) => JSON.parse(json) as unknown),
      Array.from({ length: lines }, (_, line) => ({ line, text: `T ${line}` })),
    );
    assert.deepEqual(await listeners(a), [1, 1]);
  },
);

test(
  "what a node was cut off with is run by another, and done once; a chunk with results is not run again",
  options,
  async () => {
    await using nats = await NatsServer.start();
    await using a = await openLinkedStore(nats.url);
    await using b = await openLinkedStore(nats.url, { hearsAll: false });
    await using edge = await edgeOn(a);
    // It commits, and is cut off before it can say that it is done.
    const queue = b.store.openQueue({ ackWaitMs: 1_000 });
    const { job } = await edge.jobs.create(anyCaller, { form, input: numbersAs(128 * 3) });
    const done = await queue.take(new AbortController().signal);
    const body = Buffer.from("");
    const numbers = { firstLine: done.index * 128, lines: 128, succeeded: 128, failed: 0 };
    const sizes = { outputBytes: 0, errorBytes: 0 };
    assert.ok(await b.store.commit(job.id, { index: done.index, ...numbers, ...sizes, body }));
    await queue.take(new AbortController().signal);
    await b.link.close();
    await using c = await openLinkedStore(nats.url, { hearsAll: false });
    await using other = await nodeOn(c);
    const ended = await whenEnded(edge, job.id);
    assert.equal(ended.progress.succeeded, 128 * 3);
    assert.equal(other.calls.length, 2);
  },
);

test(
  "a job whose lines a node refuses is failed by who keeps it, and left by all that run it",
  options,
  async () => {
    await using nats = await NatsServer.start();
    await using a = await openLinkedStore(nats.url);
    await using b = await openLinkedStore(nats.url, { hearsAll: false });
    await using c = await openLinkedStore(nats.url, { hearsAll: false });
    await using edge = await edgeOn(a);
    let left = (): void => {};
    const isLeft = new Promise<void>((resolve) => {
      left = resolve;
    });
    const waits = (_: RouteCall, signal: AbortSignal): Promise<RouteReply> =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => {
          left();
          reject(signal.reason as Error);
        });
      });
    await using waiting = await nodeOn(b, { callRoute: waits });
    const { job } = await edge.jobs.create(anyCaller, { form, input: numbersAs(128 * 12) });
    await until(() => waiting.calls.length > 0);
    const error = new MillraceError("unauthenticated", "told to say so");
    const refused = { status: 401, text: JSON.stringify({ error: error.toWire() }), error };
    await using _refusing = await nodeOn(c, { callRoute: () => Promise.resolve(refused) });
    const ended = await whenEnded(edge, job.id);
    assert.equal(ended.state, "failed");
    assert.equal(ended.errors[0]?.code, "unauthenticated");
    await isLeft;
  },
);

test(
  "a node that heard nothing of an end commits nothing behind it, whatever it remembers",
  options,
  async () => {
    await using nats = await NatsServer.start();
    await using a = await openLinkedStore(nats.url);
    await using b = await openLinkedStore(nats.url, { hearsAll: false });
    await using edge = await edgeOn(a);
    for (const end of ["cancelled", "removed"] as const) {
      const { job } = await edge.jobs.create(anyCaller, { form, input: numbersAs(128 * 2) });
      assert.equal((await b.store.job(job.id))?.state, "queued");
      assert.ok((await b.store.chunk(job.fileId, 0)) !== null);
      await edge.jobs.cancel(anyCaller, job.id);
      const ended = await whenEnded(edge, job.id);
      if (end === "removed") await edge.jobs.remove(anyCaller, job.id);
      const numbers = { firstLine: 0, lines: 128, succeeded: 128, failed: 0 };
      const results = { index: 0, ...numbers, outputBytes: 0, errorBytes: 0 };
      assert.equal(await b.store.commit(job.id, { ...results, body: Buffer.from("") }), false);
      assert.equal(await a.store.results(job.id, 0), null);
      const seen = await b.store.job(job.id);
      assert.equal(seen?.state ?? "removed", end);
      if (seen !== null) assert.deepEqual(seen.progress, ended.progress);
      else assert.equal(await b.store.chunk(job.fileId, 0), null);
    }
  },
);

test("a node that lays a job out again leaves out what has results", options, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  await using b = await openLinkedStore(nats.url, { hearsAll: false });
  await using edge = await edgeOn(a);
  const { signal } = new AbortController();
  const { job } = await edge.jobs.create(anyCaller, { form, input: numbersAs(128 * 4) });
  // As whoever runs one of it says first.
  await a.store.changeJob(job.id, () => ({ state: "in_progress" }));
  const numbers = { firstLine: 128, lines: 128, succeeded: 128, failed: 0 };
  const results = { index: 1, ...numbers, outputBytes: 0, errorBytes: 0, body: Buffer.from("") };
  assert.ok(await a.store.commit(job.id, results));
  const queue = b.store.openQueue();
  const taken = [await queue.take(signal), await queue.take(signal), await queue.take(signal)];
  assert.deepEqual(
    taken.map(({ index }) => index),
    [0, 2, 3],
  );
  // What it read them with is gone again.
  assert.deepEqual(await listeners(a), [1, 1]);
  await Promise.all(taken.map((each) => each.done()));
});

test("a node remembers so many records as it asked for lately, and no more", () => {
  const index = new RecordIndex(new Names("test"), { hearsAll: false });
  for (let at = 0; at < 5_000; at += 1) {
    index.apply("job", `job-${at}`, { record: { is: "gone" }, revision: at + 1 });
  }
  assert.equal(index.gone.size, 4_096);
  assert.equal(index.gone.has("job.job-0"), false);
  assert.equal(index.gone.has("job.job-4999"), true);
});
