import assert from "node:assert/strict";
import { test } from "node:test";
import { type LinkedStore, openLinkedStore } from "../support/jetstream-store.js";
import { NatsServer, skipWithoutNats } from "../support/nats-server.js";
import { jobOn, newFileHead } from "../support/stored-jobs.js";

async function makeJob({ store }: LinkedStore, id: string, chunks: number, tenant = "default") {
  const writing = await store.beginFile(newFileHead(`file-${id}`));
  for (let i = 0; i < chunks; i++) {
    await writing.add({ firstLine: i, lines: 1, bytes: Buffer.from(`${i}\n`) });
  }
  await writing.finish();
  return (await store.createJob(jobOn(`file-${id}`, { id, tenant }))).job;
}

test("thin queue", { skip: skipWithoutNats }, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  await using b = await openLinkedStore(nats.url);
  const qa = a.store.openQueue();
  const qb = b.store.openQueue();
  const job = await makeJob(a, "job-1", 20);
  const { signal } = new AbortController();
  await qa.offer(job);
  await qb.offer(job);
  const seen: number[] = [];
  for (let i = 0; i < 10; i++) {
    for (const queue of [qa, qb]) {
      const taken = await queue.take(signal);
      seen.push(taken.index);
      await taken.done();
    }
  }
  assert.deepEqual(seen, [...Array(20).keys()]);
});
