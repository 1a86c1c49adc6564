import assert from "node:assert/strict";
import { test } from "node:test";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { openJetStreamStore } from "#src/jobs/jetstream/jetstream-store.js";
import type { JobStore } from "#src/jobs/store.js";
import { LogLines, linkTo, openLinkedStore } from "../support/jetstream-store.js";
import { NatsServer, skipWithoutNats } from "../support/nats-server.js";
import { jobOn, newFileHead, resultsOf } from "../support/stored-jobs.js";
import { until } from "../support/until.js";

const skip = skipWithoutNats;
const all = { owner: null, limit: 100 };

async function makeFile(store: JobStore, id: string, chunks = 3): Promise<void> {
  const writing = await store.beginFile(newFileHead(id));
  for (let i = 0; i < chunks; i++) {
    await writing.add({ firstLine: i, lines: 1, bytes: Buffer.from(`${i}\n`) });
  }
  await writing.finish();
}

test("what one server did the others see: files, jobs, progress, ends", { skip }, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  await using b = await openLinkedStore(nats.url);
  await makeFile(a.store, "file-1");
  assert.deepEqual(await b.store.files(all), await a.store.files(all));
  const told = new Promise((resolve) => b.store.onJobChanged(resolve));
  await a.store.createJob(jobOn("file-1", { id: "job-1" }));
  assert.equal((await b.store.openJobs()).length, 1);
  assert.equal(await told, "job-1");
  const committed = new Promise((resolve) => b.store.onJobChanged(resolve));
  assert.ok(await a.store.commit("job-1", resultsOf(1)));
  await committed;
  assert.equal((await b.store.job("job-1"))?.progress.chunks, 1);
  assert.equal(await b.store.nextUndone("job-1", 1), 2);
  const end = { state: "cancelled", endedAtMs: 5, expiresAtMs: 10 } as const;
  const ended = await b.store.changeJob("job-1", () => end);
  assert.equal(ended?.progress.chunks, 1);
  assert.equal(await a.store.commit("job-1", resultsOf(2)), false);
  assert.equal(await a.store.results("job-1", 2), null);
  assert.deepEqual(await a.store.job("job-1"), ended);
  assert.deepEqual(await a.store.openJobs(), []);
  // And one that comes later hears of all of it.
  await using c = await openLinkedStore(nats.url);
  assert.deepEqual(await c.store.job("job-1"), ended);
  assert.equal(await c.store.nextUndone("job-1", 1), 2);
});

test("chunks and results that are larger than a message of NATS are to the byte what they were", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  await using b = await openLinkedStore(nats.url);
  const line = Buffer.alloc(3_300_000, "0123456789");
  const writing = await a.store.beginFile(newFileHead("file-1"));
  await writing.add({ firstLine: 0, lines: 1, bytes: line });
  await writing.finish();
  assert.ok(line.equals((await b.store.chunk("file-1", 0))?.bytes ?? Buffer.alloc(0)));
  await a.store.createJob(jobOn("file-1", { id: "job-1" }));
  const results = [a, b].map(({ store }, at) =>
    store.commit("job-1", resultsOf(0, String(at).repeat(2_500_000))),
  );
  const first = (await Promise.all(results)).indexOf(true);
  const { body } = (await a.store.results("job-1", 0)) ?? {};
  assert.equal(body?.length, 2_500_000);
  assert.equal(body.toString(), String(first).repeat(2_500_000));
  // Whose results were refused left nothing behind, and what is deleted leaves nothing either.
  assert.ok(await a.store.deleteJob("job-1"));
  assert.ok(await b.store.deleteFile("file-1"));
  assert.ok(b.store.usage().bytes < 5_000, String(b.store.usage().bytes));
});

test("one request key makes one job, whichever servers it is sent to at once", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  await using b = await openLinkedStore(nats.url);
  await makeFile(a.store, "file-1");
  const made = await Promise.all(
    Array.from({ length: 12 }, (_, at) => {
      const job = jobOn("file-1", { id: `job-${at}`, requestKey: "the key" });
      return (at % 2 === 0 ? a : b).store.createJob(job);
    }),
  );
  assert.equal(made.filter(({ isNew }) => isNew).length, 1);
  assert.equal(new Set(made.map(({ job }) => job.id)).size, 1);
  assert.equal((await b.store.jobs(all)).length, 1);
});

test("a job that ends while others commit: what counts is what everybody reads, and stays so", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  await using b = await openLinkedStore(nats.url);
  await makeFile(a.store, "file-1", 60);
  await a.store.createJob(jobOn("file-1", { id: "job-1" }));
  const commits = Array.from({ length: 60 }, (_, at) =>
    (at % 2 === 0 ? a : b).store.commit("job-1", resultsOf(at)),
  );
  const end = { state: "cancelled", endedAtMs: 5, expiresAtMs: 10 } as const;
  const ended = await a.store.changeJob("job-1", () => end);
  const committed = (await Promise.all(commits)).flatMap((is, at) => (is ? [at] : []));
  await using c = await openLinkedStore(nats.url);
  for (const { store } of [a, b, c]) {
    assert.equal((await store.job("job-1"))?.progress.chunks, committed.length);
    const there = await Promise.all(commits.map((_, at) => store.results("job-1", at)));
    assert.deepEqual(
      there.flatMap((results, at) => (results === null ? [] : [at])),
      committed,
    );
  }
  assert.equal(ended?.progress.chunks, committed.length);
});

test("what was acknowledged is there when NATS was killed and is started again", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  await makeFile(a.store, "file-1");
  const { job } = await a.store.createJob(jobOn("file-1", { id: "job-1" }));
  assert.ok(await a.store.commit("job-1", resultsOf(0)));
  await nats.kill();
  // Asked while it is away: it waits, and is answered.
  const asked = a.store.job("job-1");
  await nats.start();
  assert.deepEqual(await asked, { ...job, progress: (await a.store.job("job-1"))?.progress });
  assert.equal((await a.store.job("job-1"))?.progress.chunks, 1);
  assert.ok(await a.store.commit("job-1", resultsOf(1)));
  assert.equal(await a.store.nextUndone("job-1", 0), 2);
  assert.equal((await a.store.chunk("file-1", 2))?.bytes.toString(), "2\n");
  assert.equal(a.store.loss(), null);
});

for (const [how, leave, comeBack] of [
  ["is down", (nats: NatsServer) => nats.stop(), (nats: NatsServer) => nats.start()],
  [
    "says nothing",
    (nats: NatsServer) => nats.freeze(),
    (nats: NatsServer) => Promise.resolve(nats.thaw()),
  ],
] as const) {
  test(`while NATS ${how} operations fail after a while, can be repeated, and work when it is back`, {
    skip,
  }, async () => {
    await using nats = await NatsServer.start();
    await using a = await openLinkedStore(nats.url, { waitMsMax: 700 });
    await makeFile(a.store, "file-1");
    await a.store.createJob(jobOn("file-1", { id: "job-1" }));
    await leave(nats);
    const failed = { code: "job_store_failed", retryable: true };
    await assert.rejects(a.store.job("job-1"), failed);
    await assert.rejects(a.store.commit("job-1", resultsOf(0)), failed);
    await assert.rejects(a.store.createJob(jobOn("file-1", { id: "job-2" })), failed);
    await comeBack(nats);
    await a.link.whenConnected();
    // Its first words may be too late still.
    for (let tries = 0; tries < 20 && a.store.reason() !== null; tries++) {
      await a.store.job("job-1").catch(() => null);
    }
    // Whether it was stored before, and only its answer was not heard, nobody can tell but the store.
    await a.store.commit("job-1", resultsOf(0));
    assert.equal((await a.store.job("job-1"))?.progress.chunks, 1);
    assert.equal(a.store.reason(), null);
  });
}

test("NATS that comes back without its store: told, made again, and what is asked of it is not there", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  await using b = await openLinkedStore(nats.url);
  await makeFile(a.store, "file-1");
  await a.store.createJob(jobOn("file-1", { id: "job-1" }));
  await b.store.openJobs();
  const told = new Promise((resolve) => b.store.onJobChanged(resolve));
  await nats.stop();
  await nats.start({ isEmpty: true });
  assert.equal(await told, "job-1");
  for (const { store, log } of [a, b]) {
    assert.equal(await store.job("job-1"), null);
    assert.deepEqual(await store.openJobs(), []);
    assert.equal(await store.commit("job-1", resultsOf(0)), false);
    const { jobs, openJobs, files } = store.loss() ?? {};
    assert.deepEqual({ jobs, openJobs, files }, { jobs: 1, openJobs: 1, files: 1 });
    assert.ok(
      log.lines.some(({ level, message }) => level === "error" && message.includes("lost")),
    );
  }
  await makeFile(a.store, "file-2");
  await b.store.createJob(jobOn("file-2", { id: "job-2" }));
  assert.ok(await a.store.commit("job-2", resultsOf(0)));
  // One that knew nothing of it hears of it from the store.
  await using c = await openLinkedStore(nats.url);
  assert.equal(c.store.loss()?.openJobs, 1);
  assert.equal((await c.store.job("job-2"))?.progress.chunks, 1);
});

test("NATS that is not there at the start: the store opens, and works when it comes", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await nats.stop();
  await using a = await openLinkedStore(nats.url, { waitMsMax: 300 });
  await assert.rejects(a.store.openJobs(), { code: "job_store_failed" });
  assert.notEqual(a.store.reason(), null);
  await nats.start();
  await a.link.whenConnected();
  while (a.store.reason() !== null) await a.store.openJobs().catch(() => null);
  await makeFile(a.store, "file-1");
  assert.equal((await a.store.files(all)).length, 1);
});

test("a store of a newer version is refused by its format", { skip }, async () => {
  await using nats = await NatsServer.start();
  {
    await using a = await openLinkedStore(nats.url);
    const { connection } = a.link;
    const { jetstream } = await import("@nats-io/jetstream");
    const format = JSON.stringify({ format: 2, store: "another", loss: null });
    await jetstream(connection).publish("test.record.meta.format", format);
  }
  await assert.rejects(openLinkedStore(nats.url), { code: "data_invalid", message: /format 2/ });
});

test("a full store takes no files and no jobs, and the results of what it has", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url, { bytesMax: 300_000 });
  await makeFile(a.store, "file-1");
  await a.store.createJob(jobOn("file-1", { id: "job-1" }));
  const writing = await a.store.beginFile(newFileHead("file-2"));
  const bytes = Buffer.alloc(60_000, 65);
  for (let i = 0; i < 4; i++) await writing.add({ firstLine: i, lines: 1, bytes });
  await assert.rejects(writing.add({ firstLine: 4, lines: 1, bytes }), { code: "job_store_full" });
  assert.ok(await a.store.commit("job-1", resultsOf(0, "x".repeat(50_000))));
  assert.ok(await a.store.commit("job-1", resultsOf(1, "x".repeat(50_000))));
  const job = jobOn("file-1", { id: "job-2" });
  await assert.rejects(a.store.createJob(job), { code: "job_store_full" });
  await assert.rejects(a.store.beginFile(newFileHead("file-3")), { code: "job_store_full" });
  await writing.abort();
  await a.store.deleteJob("job-1");
  await a.store.createJob(job);
});

test("where NATS itself has no room that is told as a full store", { skip }, async () => {
  await using nats = await NatsServer.start({ maxFileStore: 2_000_000 });
  await using a = await openLinkedStore(nats.url, { waitMsMax: 2_000 });
  await makeFile(a.store, "file-1");
  await a.store.createJob(jobOn("file-1", { id: "job-1" }));
  const fill = async (): Promise<void> => {
    const writing = await a.store.beginFile(newFileHead("file-2"));
    for (let i = 0; i < 100; i++) {
      await writing.add({ firstLine: i, lines: 1, bytes: Buffer.alloc(60_000, 65) });
    }
    await writing.finish();
  };
  await assert.rejects(fill(), { code: "job_store_full" });
  const results = resultsOf(0, "x".repeat(60_000));
  await assert.rejects(a.store.commit("job-1", results), { code: "job_store_failed" });
  assert.ok((await a.store.job("job-1")) !== null);
});

test("a file whose writer died is taken away, one whose writer is slow is not", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url, { abandonedMs: 400 });
  const log = new LogLines();
  const link = await linkTo(nats.url, log);
  const dead = await openJetStreamStore(link, { replicas: 1, bytesMax: 2 ** 30, log });
  const slow = await a.store.beginFile(newFileHead("file-slow"));
  await slow.add({ firstLine: 0, lines: 1, bytes: Buffer.from("0\n") });
  const left = await dead.beginFile(newFileHead("file-left"));
  await left.add({ firstLine: 0, lines: 1, bytes: Buffer.alloc(50_000, 65) });
  // As good as dead: it says nothing any more.
  await link.close();
  const jsm = await jetstreamManager(a.link.connection);
  const query = { subjects_filter: "test.chunk.file-left.>" };
  for (;;) {
    const { state } = await jsm.streams.info("test-chunks", query);
    if (Object.keys(state.subjects ?? {}).length === 0) break;
  }
  await slow.add({ firstLine: 1, lines: 1, bytes: Buffer.from("1\n") });
  assert.equal((await slow.finish()).chunks, 2);
  assert.deepEqual(
    (await a.store.files(all)).map(({ id }) => id),
    ["file-slow"],
  );
  await dead[Symbol.asyncDispose]();
});

test("a chunk that NATS has lost is told, not taken for the end of its file", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  await makeFile(a.store, "file-1");
  const jsm = await jetstreamManager(a.link.connection);
  await jsm.streams.purge("test-chunks", { filter: "test.chunk.file-1.1" });
  await assert.rejects(a.store.chunk("file-1", 1), { code: "job_data_lost", message: /lost/ });
  assert.equal(await a.store.chunk("file-1", 3), null);
});

test("defect: a page of a list was short, and taken for the last, where some of it was deleted meanwhile", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  const { store, link } = a;
  const ids = ["1", "2", "3", "4"];
  for (const id of ids) {
    await makeFile(store, `file-${id}`, 1);
    await store.createJob(jobOn(`file-${id}`, { id: `job-${id}` }));
  }
  // As between the look at what there is and the look at each: this server knows of them still.
  const jsm = await jetstreamManager(await link.whenConnected());
  for (const subject of ["job.job-1", "file.file-2"]) {
    await jsm.streams.purge("test-records", { filter: `test.record.${subject}` });
  }
  const page = { owner: null, limit: 2 };
  const jobs = await store.jobs(page);
  assert.deepEqual(
    jobs.map(({ id }) => id),
    ["job-2", "job-3"],
  );
  const files = await store.files(page);
  assert.deepEqual(
    files.map(({ id }) => id),
    ["file-1", "file-3"],
  );
});

test("defect: results that nobody can read were never counted, and kept their chunk undone for ever", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  await makeFile(a.store, "file-1");
  await a.store.createJob(jobOn("file-1", { id: "job-1" }));
  const connection = await a.link.whenConnected();
  await jetstream(connection).publish("test.result.job-1.1", "whatever");
  for (const chunk of [0, 2]) assert.ok(await a.store.commit("job-1", resultsOf(chunk)));
  assert.equal(await a.store.nextUndone("job-1", 0), 1);
  // Nobody reads them as lost lines while they are to come.
  assert.equal(await a.store.results("job-1", 1), null);
  await until(() => a.log.lines.some(({ message }) => /cannot be read/.test(message)));
  assert.ok(await a.store.commit("job-1", resultsOf(1)));
  assert.equal(await a.store.commit("job-1", resultsOf(1)), false);
  assert.equal((await a.store.job("job-1"))?.progress.chunks, 3);
  await using b = await openLinkedStore(nats.url);
  assert.deepEqual(await b.store.results("job-1", 1), await a.store.results("job-1", 1));
  assert.equal(await b.store.nextUndone("job-1", 0), 3);
});

test("defect: one record that could not be used ended all that a server heard, without a word", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  await using b = await openLinkedStore(nats.url);
  await makeFile(a.store, "file-1");
  const connection = await a.link.whenConnected();
  await jetstream(connection).publish("test.record.job.job-9", '{"is":"job"}');
  await a.store.createJob(jobOn("file-1", { id: "job-1" }));
  for (const { store, log } of [a, b]) {
    assert.deepEqual(
      (await store.openJobs()).map(({ id }) => id),
      ["job-1"],
    );
    const told = log.lines.filter(({ level }) => level === "error");
    assert.equal(told.length, 1);
  }
});

test("defect: a server that came while another made the store had NATS panic, which takes the message of a stream half made", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using observer = await openLinkedStore(nats.url, { prefix: "observer" });
  const connection = await observer.link.whenConnected();
  const jsm = await jetstreamManager(connection);
  // As it is half made: there, and without a message.
  await jsm.streams.add({ name: "test-records", subjects: ["test.record.>"] });
  const asked: string[] = [];
  connection.subscribe("$JS.API.STREAM.MSG.GET.test-records", {
    callback: () => {
      asked.push("too early");
    },
  });
  await connection.flush();
  await using a = await openLinkedStore(nats.url);
  await connection.flush();
  assert.deepEqual(asked, []);
  // It is looked for in a store that is there.
  await using b = await openLinkedStore(nats.url);
  await until(() => asked.length > 0);
  for (const { store } of [a, b]) assert.equal(store.reason(), null);
});
