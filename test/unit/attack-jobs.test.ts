/** Durable jobs under attack: what once was lost, hung or told wrongly. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import type { TakenChunk } from "#src/jobs/chunk-queue.js";
import { encodeResults } from "#src/jobs/chunk-results.js";
import { resultLines } from "#src/jobs/derived-lines.js";
import type { JobRequest, RouteReply } from "#src/jobs/jobs.js";
import { lineChunks } from "#src/jobs/line-chunks.js";
import { LmdbFileWriting } from "#src/jobs/lmdb/file-writing.js";
import { LocalQueue } from "#src/jobs/local-queue.js";
import { LongLines } from "#src/jobs/long-lines.js";
import { OwnerTurns } from "#src/jobs/owner-turns.js";
import type { Chunk, ChunkResults, StoredJob } from "#src/jobs/store.js";
import { anyCaller } from "#src/work/caller.js";
import {
  capitals,
  contentOf,
  linesOfAll,
  type MadeWork,
  made,
  text,
  whenEnded,
} from "../support/job-work.js";
import { MemoryJobStore } from "../support/memory-job-store.js";
import { until } from "../support/until.js";

function native(lines: string, rest: Partial<JobRequest> = {}): JobRequest {
  const form = { kind: "native", task: "translate", model: null, fields: {} } as const;
  return { form, input: { lines: text(lines) }, ...rest };
}

function texts(count: number): string {
  return Array.from({ length: count }, (_, at) => `"t ${at}"\n`).join("");
}

async function ended(work: MadeWork, request: JobRequest): Promise<StoredJob> {
  const { job } = await work.jobs.create(anyCaller, request);
  return await whenEnded(work, job.id);
}

async function batchOf(work: MadeWork, lines: number): Promise<StoredJob> {
  const rows = Array.from({ length: lines }, (_, at) => {
    const body = { texts: [`t ${at}`] };
    return `${JSON.stringify({ custom_id: `${at}`, method: "POST", url: "/v1/translate", body })}\n`;
  });
  const upload = { name: "in.jsonl", purpose: "batch" };
  const file = await work.jobs.upload(anyCaller, upload, text(rows.join("")));
  const form = { kind: "requests", endpoint: "/v1/translate", window: "24h" } as const;
  return (await work.jobs.create(anyCaller, { form, input: { fileId: file.id } })).job;
}

function refused(): RouteReply {
  const error = new MillraceError("unauthenticated", "the key is gone");
  return { status: 401, text: "{}", error };
}

test("defect: a first line of nothing but a byte order mark kept its job running for ever", async () => {
  await using work = await made();
  const job = await ended(work, native('\ufeff\n"a"\n'));
  assert.equal(job.state, "completed");
  assert.deepEqual([job.progress.succeeded, job.progress.failed], [1, 1]);
  const [mark, second] = await linesOfAll(work, job.id);
  assert.match(mark?.json ?? "", /^\{"line":0,"error":\{"code":"bad_request"/);
  assert.equal(second?.json, '{"line":1,"text":"A"}');
  const marked = await ended(work, native('\ufeff"a"\n'));
  assert.equal((await linesOfAll(work, marked.id))[0]?.json, '{"line":0,"text":"A"}');
});

test("defect: lines that a failed job had not run were nowhere in its results", async () => {
  let calls = 0;
  await using work = await made({
    callRoute: (call) => {
      calls += 1;
      return calls === 2 ? Promise.resolve(refused()) : capitals(call);
    },
  });
  const job = await ended(work, native(texts(1_000)));
  assert.equal(job.state, "failed");
  const results = await linesOfAll(work, job.id);
  assert.deepEqual(
    results.map(({ line }) => line),
    Array.from({ length: 1_000 }, (_, at) => at),
  );
  const errors = results.filter(({ isError }) => isError);
  assert.equal(errors.length, 1_000 - job.progress.succeeded);
  for (const { json } of errors) assert.match(json, /"code":"unauthenticated"/);
});

test("defect: the input of a batch could be deleted though its file of errors was made of it", async () => {
  let begun = (): void => {};
  const isBegun = new Promise<void>((resolve) => {
    begun = resolve;
  });
  await using work = await made({
    callRoute: async (_call, signal) => {
      begun();
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      const error = new MillraceError("cancelled", "the caller has left");
      return { status: 499, text: "{}", error };
    },
  });
  const { id, fileId } = await batchOf(work, 200);
  await isBegun;
  await work.jobs.cancel(anyCaller, id);
  const { errorFileId } = await whenEnded(work, id);
  assert.ok(errorFileId);
  await assert.rejects(work.jobs.deleteFile(anyCaller, fileId), { code: "file_in_use" });
  const { bytes } = await work.jobs.file(anyCaller, errorFileId);
  assert.equal(Buffer.byteLength(await contentOf(work, errorFileId)), bytes);
  await work.jobs.deleteFile(anyCaller, errorFileId);
  await work.jobs.deleteFile(anyCaller, fileId);
});

test("defect: results of a job that was removed meanwhile ended as if they were whole", async () => {
  await using work = await made();
  const { id } = await ended(work, native(texts(300)));
  const results = (await work.jobs.results(anyCaller, id, { fromLine: 0 }))[Symbol.asyncIterator]();
  assert.equal((await results.next()).done, false);
  await work.jobs.remove(anyCaller, id);
  await assert.rejects(
    async () => {
      while ((await results.next()).done !== true);
    },
    { code: "job_not_found" },
  );
});

test("attack: whoever reads results or a file as fast as the store gives them leaves turns to others", async () => {
  await using work = await made();
  const { id } = await ended(work, native(texts(1_280)));
  const content = text(texts(100_000));
  const file = await work.jobs.upload(anyCaller, { name: "f", purpose: "batch" }, content);
  const counting = new AbortController();
  let turns = 0;
  const turn = (): void => {
    turns += 1;
    if (!counting.signal.aborted) setImmediate(turn);
  };
  setImmediate(turn);
  await linesOfAll(work, id);
  const besideResults = turns;
  turns = 0;
  await contentOf(work, file.id);
  counting.abort();
  assert.ok(besideResults >= 9, `${besideResults} turns beside ten chunks`);
  assert.ok(turns >= 15, `${turns} turns beside a megabyte`);
});

test("defect: a chunk that had results already was run again when it was handed out again", async () => {
  const store = new MemoryJobStore();
  const queue = new (class extends LocalQueue {
    override async take(signal: AbortSignal): Promise<TakenChunk> {
      return { ...(await super.take(signal)), mayBeDone: true };
    }
  })({ nextUndone: (_id, from) => Promise.resolve(from) });
  await using work = await made({ store, queue });
  const writing = await store.beginFile({
    id: "file-1",
    owner: null,
    name: "in",
    purpose: "job_input",
    createdAtMs: 0,
    expiresAtMs: null,
    isInternal: true,
    amount: null,
  });
  await writing.add({ firstLine: 0, lines: 1, bytes: Buffer.from('"a"\n') });
  await writing.add({ firstLine: 1, lines: 1, bytes: Buffer.from('"b"\n') });
  await writing.finish();
  const { job } = await store.createJob({
    ...native(""),
    id: "job_1",
    owner: null,
    requestKey: null,
    requestKeyUntilMs: null,
    requestHash: null,
    caller: anyCaller,
    tenant: "default",
    fileId: "file-1",
    createdAtMs: Date.now(),
    deadlineAtMs: null,
    keptMs: 60_000,
    metadata: {},
    callbackUrl: null,
    state: "queued",
    receipt: null,
  });
  const had = [{ place: 0, isError: false, json: '{"line":0,"text":"before"}' }];
  await store.commit(job.id, encodeResults({ index: 0, firstLine: 0 }, had));
  assert.equal((await whenEnded(work, job.id)).state, "completed");
  assert.equal(work.calls.length, 1);
  assert.deepEqual(
    (await linesOfAll(work, job.id)).map(({ json }) => json),
    ['{"line":0,"text":"before"}', '{"line":1,"text":"B"}'],
  );
});

test("defect: a job that was offered while the queue looked at others was not noticed", async () => {
  const jobOf = (id: string, sequence: number): StoredJob =>
    ({ id, tenant: id, sequence, chunks: 1 }) as StoredJob;
  const queue = new LocalQueue({
    nextUndone: async (id, from) => {
      if (id === "new") return from;
      await queue.offer(jobOf("new", 2));
      return 1;
    },
  });
  await queue.offer(jobOf("done", 1));
  const { jobId } = await queue.take(new AbortController().signal);
  assert.equal(jobId, "new");
});

test("defect: while a disk was full each chunk in hand said so each second, with a stack", async () => {
  const chunks = 4;
  class FullStore extends MemoryJobStore {
    tried = new Set<number>();

    override async commit(jobId: string, results: ChunkResults): Promise<boolean> {
      const before = this.tried.size;
      this.tried.add(results.index);
      if (before < chunks) throw new MillraceError("job_store_failed", "no room");
      return await super.commit(jobId, results);
    }
  }
  const said: string[] = [];
  await using work = await made({ store: new FullStore(), onLog: (line) => said.push(line) });
  const job = await ended(work, native(texts(chunks * 128)));
  assert.equal(job.state, "completed");
  assert.equal(said.filter((line) => line.includes("results cannot be kept")).length, 1);
  assert.equal(said.filter((line) => line.includes("no results wait")).length, 1);
});

test("defect: sixteen lines of any length were in memory at once, of each file that came in", async () => {
  let [waiting, most] = [0, 0];
  const done: (() => void)[] = [];
  const writing = new LmdbFileWriting("file-1", {
    add: async ({ bytes }) => {
      waiting += bytes.length;
      most = Math.max(most, waiting);
      await new Promise<void>((resolve) => done.push(resolve));
      waiting -= bytes.length;
    },
    finish: () => Promise.reject(new Error("not asked")),
    abort: () => Promise.resolve(),
  });
  const bytes = Buffer.alloc(1024 * 1024);
  for (let at = 0; at < 8; at += 1) {
    const added = writing.add({ firstLine: at, lines: 1, bytes });
    for (const each of done.splice(0)) each();
    await added;
  }
  assert.equal(most, bytes.length);
});

test("attack: each of many files that come in is in memory with the one line that it never ends", async () => {
  const longLines = new LongLines(400_000);
  const bounds = { lineBytesMax: 400_000, longLines };
  let end = (): void => {};
  const isEnded = new Promise<void>((resolve) => {
    end = resolve;
  });
  async function* open(): AsyncGenerator<Uint8Array> {
    yield Buffer.alloc(131_000, "a");
    await isEnded;
    yield Buffer.from('\n"short"\n"shorter"\n');
  }
  const read = async (content: AsyncIterable<Uint8Array>): Promise<number> => {
    let lines = 0;
    for await (const chunk of lineChunks(content, bounds)) lines += chunk.lines;
    return lines;
  };
  const opened = Array.from({ length: 10 }, () => read(open()));
  const others = Promise.allSettled(opened);
  assert.equal(await read(text('"a"\n', '"b"\n'.repeat(50_000))), 50_001);
  end();
  const outcomes = await others;
  const refused = outcomes.filter(({ status }) => status === "rejected");
  assert.equal(refused.length, 4);
  for (const { reason } of refused as PromiseRejectedResult[]) {
    assert.equal((reason as MillraceError).code, "queue_full");
  }
  assert.equal(longLines.heldBytes, 0);
  assert.equal(await read(open()), 3);
});

class HeldStore extends MemoryJobStore {
  held: Promise<void> | null = null;
  onHeld: () => void = () => {};

  override async chunk(...asked: readonly [fileId: string, index: number]): Promise<Chunk | null> {
    if (this.held !== null) {
      this.onHeld();
      await this.held;
    }
    return await super.chunk(...asked);
  }
}

test("defect: one job after the other was begun and ended: a large one held up all, thousands each other", async () => {
  const store = new HeldStore();
  let begun = (): void => {};
  const isBegun = new Promise<void>((resolve) => {
    begun = resolve;
  });
  await using work = await made({
    store,
    callRoute: async (call, signal) => {
      if (call.accept === "application/x-ndjson") return await capitals(call);
      begun();
      await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      const error = new MillraceError("cancelled", "the caller has left");
      return { status: 499, text: "{}", error };
    },
  });
  const large = await batchOf(work, 200);
  const small = await work.jobs.create(anyCaller, native('"a"\n'));
  assert.equal((await whenEnded(work, small.job.id)).state, "completed");
  await isBegun;
  let release = (): void => {};
  store.held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const isHeld = new Promise<void>((resolve) => {
    store.onHeld = resolve;
  });
  await work.jobs.cancel(anyCaller, large.id);
  await isHeld;
  // Its files are being counted; a job that needs no input to be read ends meanwhile.
  const other = await batchOf(work, 1);
  await work.jobs.cancel(anyCaller, other.id);
  const noInput = await work.jobs.create(anyCaller, native('"b"\n', { deadlineMs: 0 }));
  assert.equal((await whenEnded(work, noInput.job.id)).state, "expired");
  release();
  store.held = null;
  assert.equal((await whenEnded(work, large.id)).state, "cancelled");
});

test("defect: whoever made many large batches had everybody's validated behind all of theirs", async () => {
  const order: string[] = [];
  const turns = new OwnerTurns(2);
  const release: (() => void)[] = [];
  const work = (name: string) => async (): Promise<void> => {
    order.push(name);
    await new Promise<void>((resolve) => release.push(resolve));
  };
  for (const name of ["a1", "a2", "a3"]) turns.add("a", work(name));
  turns.add("b", work("b1"));
  turns.add("c", work("c1"));
  assert.deepEqual(order, ["a1", "b1"]);
  while (release.length > 0) {
    release.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(order, ["a1", "b1", "c1", "a2", "a3"]);
  turns.add("a", work("a4"));
  turns.add("a", work("a5"));
  const stopped = turns.stop();
  release.shift()?.();
  await stopped;
  assert.equal(order.at(-1), "a4");
});

test("defect: an object's items that were lost with their process were its result, and not asked again", async () => {
  let calls = 0;
  await using work = await made({
    callRoute: (call) => {
      calls += 1;
      if (calls > 1) return capitals(call);
      const error = new MillraceError("worker_lost", "its process died").toWire();
      const results = [{ text: "A" }, { error }];
      return Promise.resolve({ status: 200, text: JSON.stringify({ model: "m", results }) });
    },
  });
  const job = await ended(work, native('{"texts":["a","b"]}\n'));
  assert.equal(job.state, "completed");
  const [result] = await linesOfAll(work, job.id);
  assert.equal(result?.json, '{"line":0,"results":[{"text":"A"},{"text":"B"}]}');
});

test("defect: a batch's files could not be fetched where another server committed as it ended", async () => {
  const store = new MemoryJobStore();
  await using work = await made({ store, runs: false });
  const { jobs } = work;
  const { id } = await batchOf(work, 200);
  await until(async () => (await store.job(id))?.state === "queued");
  const done = (index: number, lines: number): ChunkResults => {
    const had = Array.from({ length: lines }, (_, place) => ({
      place,
      isError: false,
      json: "{}",
    }));
    return encodeResults({ index, firstLine: index * 128 }, had);
  };
  await store.commit(id, done(0, 128));
  const changeJob = store.changeJob.bind(store);
  // As a store of many does: whoever ends the job has not heard of the last results.
  store.changeJob = async (of, change, files) => {
    const now = (await store.job(of)) ?? assert.fail("it is there");
    if (now.state !== "cancelling") return await changeJob(of, change, files);
    await store.commit(of, done(1, 72));
    return await changeJob(of, () => change(now), files);
  };
  await jobs.cancel(anyCaller, id);
  await whenEnded(work, id);
  const { outputFileId } = await until(async () => {
    const job = await store.job(id);
    return job?.errorFileId === null ? job : null;
  });
  const file = await jobs.file(anyCaller, outputFileId ?? "");
  assert.deepEqual([file.lines, file.bytes], [200, 600]);
  assert.equal((await contentOf(work, file.id)).length, file.bytes);
  assert.equal((await jobs.files(anyCaller, { limit: 9, purpose: "batch_output" })).length, 1);
});

test("attack: who reads a job whose input is gone, a million lines long, holds up nobody", async () => {
  const store = new MemoryJobStore();
  await using work = await made({ store, runs: false });
  const batch = await batchOf(work, 1);
  await work.jobs.cancel(anyCaller, batch.id);
  const job = { ...(await whenEnded(work, batch.id)), lines: 20_000, chunks: 1 };
  await store.deleteFile(job.fileId);
  let turns = 0;
  let isOver = false;
  const turn = (): void => {
    turns += 1;
    if (!isOver) setImmediate(turn);
  };
  setImmediate(turn);
  let lines = 0;
  for await (const { isError } of resultLines(store, job)) lines += isError ? 1 : 0;
  isOver = true;
  assert.equal(lines, 20_000);
  assert.ok(turns > 100, `others had ${turns} turns`);
});
