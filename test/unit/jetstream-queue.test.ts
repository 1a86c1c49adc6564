import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { jetstreamManager } from "@nats-io/jetstream";
import type { ChunkQueue } from "#src/jobs/chunk-queue.js";
import type { StoredJob } from "#src/jobs/store.js";
import { type LinkedStore, openLinkedStore } from "../support/jetstream-store.js";
import { NatsServer, skipWithoutNats } from "../support/nats-server.js";
import { jobOn, newFileHead, resultsOf } from "../support/stored-jobs.js";

const skip = skipWithoutNats;
const { signal } = new AbortController();

async function makeJob(
  { store }: LinkedStore,
  { id, chunks, tenant = "default" }: { id: string; chunks: number; tenant?: string },
): Promise<StoredJob> {
  const writing = await store.beginFile(newFileHead(`file-${id}`));
  for (let i = 0; i < chunks; i++) {
    await writing.add({ firstLine: i, lines: 1, bytes: Buffer.from(`${i}\n`) });
  }
  await writing.finish();
  return (await store.createJob(jobOn(`file-${id}`, { id, tenant }))).job;
}

/** Takes until the queue is empty: nothing waits, and nothing is in anybody's hand. */
async function takeRest({ link }: LinkedStore, queue: ChunkQueue): Promise<readonly string[]> {
  const seen: string[] = [];
  const jsm = await jetstreamManager(await link.whenConnected());
  for (;;) {
    try {
      const taken = await queue.take(AbortSignal.timeout(200));
      seen.push(`${taken.jobId} ${taken.index}`);
      await taken.done();
    } catch (error) {
      if (!(error instanceof Error) || error.name !== "TimeoutError") throw error;
      const info = await jsm.streams.info("test-work").catch(() => null);
      if (info?.state.messages === 0) return seen;
    }
  }
}

function allOf(id: string, chunks: number): readonly string[] {
  return Array.from({ length: chunks }, (_, index) => `${id} ${index}`);
}

function sorted(seen: readonly string[]): readonly string[] {
  return seen.toSorted((a, b) => Number(a.split(" ")[1]) - Number(b.split(" ")[1]));
}

test("two servers share a job's chunks: each one once, however often and by whom it is offered", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  await using b = await openLinkedStore(nats.url);
  const queues = [a.store.openQueue(), b.store.openQueue()];
  const job = await makeJob(a, { id: "job-1", chunks: 40 });
  // Chunks with results are nobody's work.
  assert.ok(await a.store.commit("job-1", resultsOf(3)));
  await Promise.all(queues.flatMap((queue) => [queue.offer(job), queue.offer(job)]));
  const firsts = await Promise.all(queues.map((queue) => queue.take(signal)));
  await Promise.all(firsts.map((first) => first.done()));
  const rest = await Promise.all(queues.map((queue) => takeRest(a, queue)));
  assert.deepEqual(
    sorted([...rest.flat(), ...firsts.map(({ index }) => `job-1 ${index}`)]),
    allOf("job-1", 40).filter((each) => each !== "job-1 3"),
  );
});

test("tenants take turns, whoever has more, and jobs of one go in their order", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  const queue = a.store.openQueue();
  for (const [id, tenant] of [
    ["large", "Ä tenant. with *, > and a long, long name".repeat(4)],
    ["later", "Ä tenant. with *, > and a long, long name".repeat(4)],
    ["small", "b"],
  ] as const) {
    const job = await makeJob(a, { id, chunks: id === "small" ? 3 : 6, tenant });
    await queue.offer(job);
    // Laid out by whoever takes first: its first chunk is there then, and goes back.
    const first = await queue.take(signal);
    await first.giveBack(0);
  }
  const seen = await takeRest(a, queue);
  const small = seen.filter((each) => each.startsWith("small"));
  assert.equal(small.length, 3);
  // A turn of the other one between each two of them.
  const at = small.map((each) => seen.indexOf(each));
  assert.ok(
    at.every((each, index) => index === 0 || each - (at[index - 1] ?? 0) === 2),
    seen.join(),
  );
  assert.equal(seen.filter((each) => each.startsWith("large")).length, 6);
  const firstLater = seen.findIndex((each) => each.startsWith("later"));
  const large = seen.filter((each) => each.startsWith("large")).map((each) => seen.indexOf(each));
  assert.ok(large.filter((each) => each > firstLater).length <= 1, seen.join());
});

for (const [what, signal] of [
  ["was killed", "SIGKILL"],
  ["stands still", "SIGSTOP"],
] as const) {
  test(`the chunks of a server that ${what} go to another one`, { skip }, async () => {
    await using nats = await NatsServer.start();
    await using a = await openLinkedStore(nats.url);
    const queue = a.store.openQueue({ ackWaitMs: 1_000 });
    await queue.offer(await makeJob(a, { id: "job-1", chunks: 4 }));
    const entry = fileURLToPath(new URL("../support/take-chunks.js", import.meta.url));
    const child = spawn(process.execPath, [entry, nats.url, "2", "1000"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    try {
      const held: string[] = [];
      for await (const line of createInterface({ input: child.stdout })) {
        held.push(line);
        if (held.length === 2) break;
      }
      child.kill(signal);
      assert.deepEqual(sorted(held), ["job-1 0", "job-1 1"]);
      assert.deepEqual(sorted(await takeRest(a, queue)), allOf("job-1", 4));
    } finally {
      const exited = child.exitCode ?? child.signalCode ?? once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    }
  });
}

test("who has a chunk says so by itself, three times in each time after which it would be another's", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  await using b = await openLinkedStore(nats.url);
  // Whoever listens hears what is said of chunks.
  const heard = b.link.connection.subscribe("$JS.ACK.test-work.>");
  const ackWaitMs = 2_000;
  const [queue, other] = [a.store.openQueue({ ackWaitMs }), b.store.openQueue({ ackWaitMs })];
  await queue.offer(await makeJob(a, { id: "job-1", chunks: 1 }));
  const taken = await queue.take(signal);
  const looking = new AbortController();
  const taking = other.take(looking.signal);
  let words = 0;
  for await (const message of heard) {
    if (message.string() === "+WPI") words += 1;
    // Longer than it would have waited.
    if (words === 4) break;
  }
  await taken.done();
  looking.abort(new Error("nobody else had it"));
  await assert.rejects(taking, { message: "nobody else had it" });
});

test("of two servers that both ran a chunk one commits it", { skip }, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  await using b = await openLinkedStore(nats.url);
  await makeJob(a, { id: "job-1", chunks: 30 });
  const commits = await Promise.all(
    Array.from({ length: 60 }, (_, at) =>
      (at % 2 === 0 ? a : b).store.commit("job-1", resultsOf(at >> 1)),
    ),
  );
  assert.equal(commits.filter(Boolean).length, 30);
  for (const { store } of [a, b]) {
    const progress = (await store.job("job-1"))?.progress;
    assert.deepEqual(progress?.chunks, 30);
    assert.equal(progress?.succeeded, 30);
  }
});

test("a server that drains hands back what it holds, and it is somebody else's at once", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  await using b = await openLinkedStore(nats.url);
  const [ending, other] = [a.store.openQueue(), b.store.openQueue()];
  await ending.offer(await makeJob(a, { id: "job-1", chunks: 3 }));
  const first = await ending.take(signal);
  const waiting = other.take(signal);
  const second = await waiting;
  await second.done();
  await ending[Symbol.asyncDispose]();
  await assert.rejects(ending.take(signal), { code: "draining" });
  assert.deepEqual(sorted(await takeRest(b, other)), [`job-1 ${first.index}`, "job-1 2"]);
});

test("what is given back for later comes later, and nothing else waits for it", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  const queue = a.store.openQueue();
  await queue.offer(await makeJob(a, { id: "job-1", chunks: 2 }));
  const first = await queue.take(signal);
  await first.giveBack(300);
  assert.deepEqual(await takeRest(a, queue), ["job-1 1", "job-1 0"]);
});

test("what is withdrawn is nobody's work, and what is in hand of it is done without harm", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  const queue = a.store.openQueue();
  const job = await makeJob(a, { id: "job-1", chunks: 5 });
  await queue.offer(job);
  const held = await queue.take(signal);
  await queue.withdraw(job);
  await queue.offer(await makeJob(a, { id: "job-2", chunks: 2 }));
  await held.done();
  assert.deepEqual(await takeRest(a, queue), allOf("job-2", 2));
});

test("defect: where a consumer gives out no more just now, NATS 2.9 keeps no request for ever", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  const queue = a.store.openQueue();
  await queue.offer(await makeJob(a, { id: "job-1", chunks: 6 }));
  const held = [await queue.take(signal)];
  // Somebody sees to NATS, and knows better.
  const jsm = await jetstreamManager(a.link.connection);
  const [consumer] = await jsm.consumers.list("test-work").next();
  await jsm.consumers.update("test-work", consumer?.name ?? "", { max_ack_pending: 4 });
  while (held.length < 4) held.push(await queue.take(signal));
  await assert.rejects(queue.take(AbortSignal.timeout(500)), { name: "TimeoutError" });
  // A request that was kept would have this one, and nobody would have the chunk before it is taken for lost.
  await held[0]?.done();
  const next = await queue.take(AbortSignal.timeout(5_000));
  assert.equal(next.index, 4);
});

test("defect: whoever asked for a chunk when its connection was closed waited for ever", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  await using b = await openLinkedStore(nats.url);
  const queue = a.store.openQueue();
  await queue.offer(await makeJob(a, { id: "job-1", chunks: 3 }));
  await queue.take(signal);
  const jsm = await jetstreamManager(b.link.connection);
  const [consumer] = await jsm.consumers.list("test-work").next();
  // A request is open for as long as it may be, then.
  await jsm.consumers.update("test-work", consumer?.name ?? "", { max_ack_pending: 1 });
  const asked = b.link.connection.subscribe("$JS.API.CONSUMER.MSG.NEXT.test-work.>");
  await b.link.connection.flush();
  const taking = queue.take(signal);
  const refused = assert.rejects(taking, { code: "draining" });
  for await (const _ of asked) break;
  await a.link.close();
  await queue[Symbol.asyncDispose]();
  await refused;
});

test("a server that ends while it lays a job out leaves that to another one", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  await using b = await openLinkedStore(nats.url);
  const job = await makeJob(a, { id: "job-1", chunks: 1_500 });
  const ending = a.store.openQueue();
  await ending.offer(job);
  const first = await ending.take(signal);
  await ending[Symbol.asyncDispose]();
  assert.equal(first.index, 0);
  const seen = await takeRest(b, b.store.openQueue());
  assert.deepEqual(sorted([...new Set(seen)]), allOf("job-1", 1_500));
});

test("NATS that was killed and is started again with its store goes on where it was", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  const queue = a.store.openQueue({ ackWaitMs: 2_000 });
  await queue.offer(await makeJob(a, { id: "job-1", chunks: 6 }));
  const held = await queue.take(signal);
  const done = await queue.take(signal);
  assert.ok(await a.store.commit("job-1", resultsOf(done.index)));
  await done.done();
  await nats.kill();
  await nats.start();
  await held.giveBack(0);
  const all = new Set(await takeRest(a, queue));
  // It may have forgotten that it heard of the end of one; that has its results, and is no work.
  all.delete(`job-1 ${done.index}`);
  assert.equal(await a.store.commit("job-1", resultsOf(done.index)), false);
  assert.deepEqual(
    sorted([...all]),
    allOf("job-1", 6).filter((each) => each !== `job-1 ${done.index}`),
  );
});

test("a work queue that was lost is laid out again, but for what has results", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  const queue = a.store.openQueue();
  const job = await makeJob(a, { id: "job-1", chunks: 5 });
  await queue.offer(job);
  const first = await queue.take(signal);
  assert.ok(await a.store.commit("job-1", resultsOf(first.index)));
  await first.done();
  const jsm = await jetstreamManager(a.link.connection);
  await jsm.streams.delete("test-work");
  // Whoever notices: here an offer, which finds no stream.
  await queue.offer({ ...job, id: "nobody" });
  assert.deepEqual(sorted(await takeRest(a, queue)), allOf("job-1", 5).slice(1));
  assert.ok(
    a.log.lines.some(({ level, message }) => level === "error" && message.includes("gone")),
  );
});

test("defect: a job that is withdrawn while its chunks are in hand takes none of another job's with it", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  await using b = await openLinkedStore(nats.url);
  const [gone, left] = [
    await makeJob(a, { id: "job-1", chunks: 12 }),
    await makeJob(a, { id: "job-2", chunks: 12 }),
  ];
  const cutOff = a.store.openQueue({ ackWaitMs: 1_000 });
  await cutOff.offer(gone);
  await cutOff.offer(left);
  // In hand of a server that says nothing more.
  for (let taken = 0; taken < 20; taken += 1) await cutOff.take(signal);
  await a.link.close();
  const queue = b.store.openQueue({ ackWaitMs: 1_000 });
  await queue.withdraw(gone);
  assert.deepEqual(sorted(await takeRest(b, queue)), allOf("job-2", 12));
});

test("chunks that the work queue has lost are offered again, and those that are in hand or done are not", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url);
  const queue = a.store.openQueue();
  const jobs = [
    await makeJob(a, { id: "job-1", chunks: 3 }),
    await makeJob(a, { id: "job-2", chunks: 2 }),
  ];
  for (const job of jobs) await queue.offer(job);
  const held = await queue.take(signal);
  while (!(await areLaidOut(a))) await queue.offerLost(jobs);
  const jsm = await jetstreamManager(a.link.connection);
  await held.done();
  assert.ok(await a.store.commit(held.jobId, resultsOf(held.index)));
  assert.deepEqual((await takeRest(a, queue)).length, 4);
  // Nobody has run them, and NATS knows them no more.
  assert.equal((await jsm.streams.info("test-work")).state.messages, 0);
  await queue.offerLost(jobs);
  const all = [...allOf("job-1", 3), ...allOf("job-2", 2)];
  assert.deepEqual(
    (await takeRest(a, queue)).toSorted(),
    all.filter((each) => each !== `${held.jobId} ${held.index}`),
  );
  const told = a.log.lines.filter(({ message }) => message.includes("has lost chunks"));
  assert.equal(told.length, 2);
});

async function areLaidOut({ link }: LinkedStore): Promise<boolean> {
  const jsm = await jetstreamManager(link.connection);
  return (await jsm.streams.info("test-work")).state.messages === 5;
}

test("defect: a job that NATS had no room to offer was taken for offered, and never run", {
  skip,
}, async () => {
  await using nats = await NatsServer.start();
  await using a = await openLinkedStore(nats.url, { waitMsMax: 500 });
  const queue = a.store.openQueue();
  const jsm = await jetstreamManager(await a.link.whenConnected());
  const [first, second] = [
    await makeJob(a, { id: "job-1", chunks: 2 }),
    await makeJob(a, { id: "job-2", chunks: 2 }),
  ];
  // As a full disk: NATS has the same code for it as for what is there already.
  await jsm.streams.update("test-work", { max_msgs: 1 });
  await queue.offer(first);
  await assert.rejects(queue.offer(second), { code: "job_store_failed" });
  await jsm.streams.update("test-work", { max_msgs: -1 });
  await queue.offer(second);
  assert.deepEqual((await takeRest(a, queue)).toSorted(), [
    ...allOf("job-1", 2),
    ...allOf("job-2", 2),
  ]);
});
