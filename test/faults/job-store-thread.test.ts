/** The thread of the store in a folder, ended in the middle of what it does: it is opened again, and nobody starts the server again. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mock, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Worker } from "node:worker_threads";
import { openLmdbStore } from "#src/jobs/lmdb/lmdb-store.js";
import type { JobStore } from "#src/jobs/store.js";
import { createLog } from "#src/log.js";
import { anyCaller } from "#src/work/caller.js";
import { hasCode, keepFile, newJob, resultsOf } from "../conformance/job-store/store-place.js";
import { Random } from "../sim/random.js";
import { capitals, linesOfAll, made, text, whenEnded } from "../support/job-work.js";
import { isLong } from "../support/long.js";
import { TempDir } from "../support/temp-dir.js";
import { until } from "../support/until.js";

const log = createLog({ log: "json", logLevel: "silent", destination: process.stdout });

interface SeenStore extends AsyncDisposable {
  readonly store: JobStore;
  /** Threads that it has had, the last one last. */
  readonly threads: readonly Worker[];
}

/** As by a defect in it: what it is asked behind that is never done. */
async function endThread(thread: Worker | undefined): Promise<void> {
  assert.ok(thread !== undefined);
  const ended = new Promise((resolve) => thread.once("exit", resolve));
  thread.postMessage(null);
  await ended;
}

const answerMsMax = 60_000;

async function opened(dir: string): Promise<SeenStore> {
  const threads: Worker[] = [];
  const onWorker = (worker: Worker): void => void threads.push(worker);
  process.on("worker", onWorker);
  const store = await openLmdbStore({ dir, bytesMax: 2 ** 30, log, answerMsMax });
  return {
    store,
    threads,
    [Symbol.asyncDispose]: async () => {
      process.off("worker", onWorker);
      await store[Symbol.asyncDispose]();
    },
  };
}

test("defect: a store whose thread ended was away until the server was started again", async () => {
  await using temp = await TempDir.make();
  await using seen = await opened(temp.path);
  const { store, threads } = seen;
  const chunks = 400;
  await keepFile(store, "file-1", chunks);
  await store.createJob(newJob("job-1", "file-1"));
  const random = new Random(3);
  const acknowledged = new Set<number>();
  const commits = Array.from({ length: chunks }, async (_, at) => {
    // As the runner does: until it is kept.
    for (;;) {
      try {
        await store.commit("job-1", resultsOf(at, at));
        acknowledged.add(at);
        return;
      } catch (error) {
        assert.ok(hasCode("job_store_failed")(error), String(error));
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    }
  });
  const ends = isLong ? 12 : 3;
  for (let end = 1; end <= ends; end += 1) {
    const wanted = random.int(1, 60);
    const before = acknowledged.size;
    while (acknowledged.size < Math.min(chunks, before + wanted)) await new Promise(setImmediate);
    await endThread(threads.at(-1));
    // What is asked while there is none waits for the next one.
    assert.equal((await store.job("job-1"))?.id, "job-1");
    assert.equal(store.reason(), null);
    assert.equal(threads.length, end + 1);
  }
  await Promise.all(commits);
  const job = await store.job("job-1");
  assert.equal(job?.progress.chunks, chunks);
  assert.equal(job.progress.succeeded, chunks);
  for (let at = 0; at < chunks; at += 1) {
    assert.deepEqual((await store.results("job-1", at))?.index, at);
  }
});

test("new work that was under way when the thread ended fails, and can be sent again", async () => {
  await using temp = await TempDir.make();
  await using seen = await opened(temp.path);
  const { store, threads } = seen;
  const failed = hasCode("job_store_failed");
  const writing = await store.beginFile({ ...newFile, id: "file-1" });
  await endThread(threads.at(-1));
  await assert.rejects(store.beginFile({ ...newFile, id: "file-2" }), failed);
  assert.equal(await store.file("file-1"), null);
  // Whoever wrote it is taken for dead.
  await assert.rejects(async () => {
    await writing.add({ firstLine: 0, lines: 1, bytes: Buffer.from('"a"\n') });
    await writing.finish();
  }, failed);
  await writing.abort();
  await keepFile(store, "file-1b", 2);
  assert.equal((await store.files({ owner: null, limit: 9 })).length, 1);
});

const newFile = {
  owner: null,
  name: "in",
  purpose: "batch",
  createdAtMs: 1,
  expiresAtMs: null,
  isInternal: false,
  amount: null,
};

test("a job goes on by itself when the thread of its store ended under it", async () => {
  await using temp = await TempDir.make();
  await using seen = await opened(temp.path);
  let calls = 0;
  await using work = await made({
    store: seen.store,
    callRoute: async (call) => {
      calls += 1;
      if (calls === 3) await endThread(seen.threads.at(-1));
      return await capitals(call);
    },
  });
  const lines = Array.from({ length: 8 * 128 }, (_, line) => `"line ${line}"\n`);
  const form = { kind: "native", task: "translate", model: null, fields: {} } as const;
  const { job } = await work.jobs.create(anyCaller, { form, input: { lines: text(...lines) } });
  const ended = await whenEnded(work, job.id);
  assert.equal(ended.state, "completed");
  assert.equal(ended.progress.succeeded, lines.length);
  assert.equal((await linesOfAll(work, job.id)).length, lines.length);
});

test("what ends one thread after the other is given up, and all else goes on", async () => {
  await using temp = await TempDir.make();
  await using seen = await opened(temp.path);
  const { store, threads } = seen;
  await keepFile(store, "file-1", 1);
  const [first] = threads;
  // Once it is open, and before all that is asked of it: one that ends while it opens has been asked nothing.
  process.once("worker", (worker: Worker) => {
    worker.once("message", () => worker.postMessage(null));
  });
  const ended = endThread(first);
  // It is behind what ends the first one, and again behind what ends the second.
  await assert.rejects(store.job("job-1"), hasCode("job_store_failed"));
  await ended;
  assert.equal((await store.file("file-1"))?.chunks, 1);
  assert.equal(threads.length, 3);
});

interface Holder {
  end(): Promise<void>;
}

/** Asks, and lets all the time go by that an answer may take. */
function unanswered<Asked>(ask: () => Asked): Asked {
  mock.timers.enable({ apis: ["setTimeout"] });
  try {
    const asked = ask();
    mock.timers.tick(answerMsMax);
    return asked;
  } finally {
    mock.timers.reset();
  }
}

/** Whoever writes to the file waits from now on, until this ends. */
async function holding(path: string): Promise<Holder> {
  const script = fileURLToPath(new URL("../support/hold-tables.js", import.meta.url));
  const holder = spawn(process.execPath, [script, path], { stdio: ["ignore", "pipe", "inherit"] });
  const closed = once(holder, "close");
  await once(holder.stdout, "data");
  return {
    end: async () => {
      holder.kill("SIGKILL");
      await closed;
    },
  };
}

test("a thread that does not answer is told and not waited for, and is there when it answers", async () => {
  await using temp = await TempDir.make();
  await using seen = await opened(temp.path);
  const { store } = seen;
  await keepFile(store, "file-1", 2);
  await store.createJob(newJob("job-1", "file-1"));
  const holder = await holding(temp.file("jobs.mdb"));
  const committing = unanswered(() => store.commit("job-1", resultsOf(0, 0)));
  await assert.rejects(committing, hasCode("job_store_failed"));
  assert.match(store.reason() ?? "", /has not answered/);
  await assert.rejects(store.job("job-1"), hasCode("job_store_failed"));
  await holder.end();
  await until(() => store.reason() === null);
  // Whether the first one was done nobody knew; now it is, once.
  await store.commit("job-1", resultsOf(0, 0));
  assert.equal((await store.job("job-1"))?.progress.chunks, 1);
});

test("defect: behind a silence a write was given the answer to the one before it", async () => {
  await using temp = await TempDir.make();
  await using seen = await opened(temp.path);
  const { store } = seen;
  await keepFile(store, "file-1", 2);
  const holder = await holding(temp.file("jobs.mdb"));
  const failed = hasCode("job_store_failed");
  // As a process that was stopped for so long: its clock went on, and what the thread answers is heard only now.
  const asked = unanswered(() => [
    assert.rejects(store.job("job-1"), failed),
    assert.rejects(store.keepTimeMs(1), failed),
  ]);
  await Promise.all(asked);
  // The thread has answered the read, and waits to write.
  await until(() => store.reason() === null);
  const making = store.createJob(newJob("job-1", "file-1"));
  await holder.end();
  assert.equal((await making).job.id, "job-1");
  assert.equal(await store.commit("job-1", resultsOf(0, 0)), true);
  assert.equal(await store.commit("job-1", resultsOf(0, 0)), false);
  assert.equal(await store.keptTimeMs(), 1);
});

test("defect: a store whose thread did not answer was never closed", async () => {
  await using temp = await TempDir.make();
  await using seen = await opened(temp.path);
  const { store, threads } = seen;
  const holder = await holding(temp.file("jobs.mdb"));
  const keeping = unanswered(() => store.keepTimeMs(1));
  await assert.rejects(keeping, hasCode("job_store_failed"));
  await store[Symbol.asyncDispose]();
  await holder.end();
  // Within a transaction it could not be ended.
  await until(() => store.reason() === null);
  await threads.at(-1)?.terminate();
});
