import assert from "node:assert/strict";
import { test } from "node:test";
import { openLinkedStore } from "../support/jetstream-store.js";
import { NatsServer, skipWithoutNats } from "../support/nats-server.js";
import { jobOn, newFileHead } from "../support/stored-jobs.js";

test("thin", { skip: skipWithoutNats }, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  await using b = await openLinkedStore(nats.url);
  const writing = await a.store.beginFile(newFileHead("file-1"));
  for (let i = 0; i < 5; i++) {
    await writing.add({ firstLine: i * 2, lines: 2, bytes: Buffer.from(`a${i}\nb${i}\n`) });
  }
  const big = Buffer.alloc(2_500_000, 65);
  await writing.add({ firstLine: 10, lines: 1, bytes: big });
  const file = await writing.finish();
  assert.equal(file.chunks, 6);
  assert.deepEqual(await b.store.file("file-1"), file);
  assert.deepEqual((await b.store.chunk("file-1", 5))?.bytes, big);
  assert.equal(await b.store.chunk("file-1", 6), null);
  assert.equal((await b.store.files({ owner: null, limit: 10 })).length, 1);
  const told: string[] = [];
  b.store.onJobChanged((id) => told.push(id));
  const { job, isNew } = await a.store.createJob(jobOn("file-1", { id: "job-1", requestKey: "k" }));
  assert.ok(isNew);
  const again = await b.store.createJob(jobOn("file-1", { id: "job-2", requestKey: "k" }));
  assert.deepEqual(again, { job, isNew: false });
  const results = {
    index: 0,
    firstLine: 0,
    lines: 2,
    succeeded: 1,
    failed: 1,
    outputBytes: 5,
    errorBytes: 6,
    body: Buffer.from("hello"),
  };
  const both = await Promise.all([
    a.store.commit("job-1", results),
    b.store.commit("job-1", results),
  ]);
  assert.equal(both.filter(Boolean).length, 1);
  assert.equal((await a.store.job("job-1"))?.progress.chunks, 1);
  assert.deepEqual(
    { ...(await b.store.results("job-1", 0)), body: null },
    { ...results, body: null },
  );
  assert.equal(await a.store.nextUndone("job-1", 0), 1);
  const ended = await b.store.changeJob("job-1", () => ({
    state: "cancelled",
    endedAtMs: 5,
    expiresAtMs: 10,
  }));
  assert.equal(ended?.state, "cancelled");
  assert.equal(ended?.progress.chunks, 1);
  assert.equal(await a.store.commit("job-1", { ...results, index: 1 }), false);
  assert.equal(await a.store.results("job-1", 1), null);
  assert.ok(a.store.usage().bytes > 2_500_000);
  assert.equal(await a.store.removeExpired(20), 1);
  assert.equal(await b.store.job("job-1"), null);
  assert.ok(told.includes("job-1"));
  assert.ok(await a.store.deleteFile("file-1"));
  assert.ok(a.store.usage().bytes < 5_000, String(a.store.usage().bytes));
});
