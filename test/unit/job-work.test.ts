/** Durable jobs over a store in memory: what is asked for, what is run, and what comes of it. */
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { type ErrorCode, MillraceError } from "millrace-client/wire";
import { encodeResults } from "#src/jobs/chunk-results.js";
import type { JobRequest, RouteCall, RouteReply } from "#src/jobs/jobs.js";
import { LocalQueue } from "#src/jobs/local-queue.js";
import type { StoredJob } from "#src/jobs/store.js";
import { anyCaller, type Caller } from "#src/work/caller.js";
import {
  capitals,
  contentOf,
  linesOfAll,
  type MadeWork,
  made,
  text,
  textsOf,
  whenEnded,
} from "../support/job-work.js";
import { MemoryJobStore } from "../support/memory-job-store.js";
import { resultsOf } from "../support/stored-jobs.js";
import { until } from "../support/until.js";

function native(lines: readonly unknown[], rest: Partial<JobRequest> = {}): JobRequest {
  return {
    form: { kind: "native", task: "translate", model: null, fields: { beams: 1 } },
    input: { lines: text(lines.map((line) => `${JSON.stringify(line)}\n`).join("")) },
    ...rest,
  };
}

const numbers = (count: number): string[] => Array.from({ length: count }, (_, at) => `t ${at}`);

async function run(work: MadeWork, request: JobRequest, caller = anyCaller): Promise<StoredJob> {
  const { job } = await work.jobs.create(caller, request);
  return await whenEnded(work, job.id);
}

function refusing(code: ErrorCode): RouteReply {
  const error = new MillraceError(code, `told to say ${code}`);
  return { status: 500, text: JSON.stringify({ error: error.toWire() }), error };
}

test("a native job's texts are one call for a chunk, and each line has its result in order", async () => {
  await using work = await made();
  const ended = await run(work, native(numbers(300)));
  assert.equal(ended.state, "completed");
  const { succeeded, failed, chunks } = ended.progress;
  assert.deepEqual([succeeded, failed, chunks], [300, 0, 3]);
  assert.equal(work.calls.length, 3);
  const [first] = work.calls;
  assert.ok(first);
  assert.deepEqual(
    { ...JSON.parse(Buffer.from(first.body).toString()), texts: [] },
    { timeoutMs: 3_600_000, beams: 1, texts: [] },
  );
  assert.equal(first.path, "/v1/translate");
  assert.equal(first.caller.jobTenant, "default");
  const results = await linesOfAll(work, ended.id);
  assert.deepEqual(
    results.map(({ json }) => JSON.parse(json) as unknown),
    numbers(300).map((each, line) => ({ line, text: each.toUpperCase() })),
  );
  const some = await linesOfAll(work, ended.id, { fromLine: 127, toLine: 130 });
  assert.deepEqual(
    some.map(({ line }) => line),
    [127, 128, 129],
  );
});

test("an item that fails, and a line that is no input, have an error as their result", async () => {
  await using work = await made();
  const lines = ["good", "fails", { texts: ["a", "fails"] }, 7, null];
  const ended = await run(work, native(lines));
  assert.equal(ended.state, "completed");
  assert.deepEqual([ended.progress.succeeded, ended.progress.failed], [2, 3]);
  const results = await linesOfAll(work, ended.id);
  assert.deepEqual(
    results.map(({ isError }) => isError),
    [false, true, false, true, true],
  );
  const whole = JSON.parse(results[2]?.json ?? "") as Record<string, unknown>;
  assert.deepEqual(whole, {
    line: 2,
    results: [
      { text: "A" },
      { error: { code: "item_failed", message: "told to fail", retryable: false } },
    ],
  });
});

test("a text for which the route refuses the whole request is found, and its neighbours have results", async () => {
  await using work = await made({
    callRoute: (call) =>
      textsOf(call).includes("refused")
        ? Promise.resolve(refusing("bad_encoding"))
        : capitals(call),
  });
  const lines = numbers(100).toSpliced(41, 1, "refused");
  const ended = await run(work, native(lines));
  assert.deepEqual([ended.progress.succeeded, ended.progress.failed], [99, 1]);
  const results = await linesOfAll(work, ended.id);
  assert.equal(results[41]?.isError, true);
  assert.match(results[41]?.json ?? "", /^\{"line":41,"error":\{"code":"bad_encoding"/);
});

test("what the server cannot do just now is tried again; what fails again and again is the result", async () => {
  const said: ErrorCode[] = ["queue_full", "not_ready", "worker_lost", "draining"];
  await using work = await made({
    callRoute: (call) => {
      const code = said.shift();
      if (code !== undefined) return Promise.resolve(refusing(code));
      return textsOf(call).includes("lost")
        ? Promise.resolve(refusing("worker_lost"))
        : capitals(call);
    },
  });
  assert.equal((await run(work, native(numbers(3)))).progress.succeeded, 3);
  const ended = await run(work, native(["lost"]));
  assert.equal(ended.state, "completed");
  assert.match((await linesOfAll(work, ended.id))[0]?.json ?? "", /"code":"worker_lost"/);
});

test("a key that is gone ends its job as failed, and says why; what was done is kept", async () => {
  let calls = 0;
  await using work = await made({
    options: { rowsMax: 8 },
    callRoute: (call) => {
      calls += 1;
      return calls > 2 ? Promise.resolve(refusing("unauthenticated")) : capitals(call);
    },
  });
  const ended = await run(work, native(numbers(1_280)));
  assert.equal(ended.state, "failed");
  assert.deepEqual(
    ended.errors.map(({ code }) => code),
    ["unauthenticated"],
  );
  const { chunks, succeeded } = ended.progress;
  assert.ok(chunks <= 2, "nothing that was refused has results");
  const results = await linesOfAll(work, ended.id);
  assert.deepEqual(
    [results.length, results.filter(({ isError }) => !isError).length],
    [1_280, succeeded],
  );
});

/** Calls that answer when they are told to, or leave when their caller does. */
function held(): {
  readonly callRoute: (call: RouteCall, signal: AbortSignal) => Promise<RouteReply>;
  readonly begun: Promise<void>;
} {
  let tell = (): void => {};
  const begun = new Promise<void>((resolve) => {
    tell = resolve;
  });
  const callRoute = async (call: RouteCall, signal: AbortSignal): Promise<RouteReply> => {
    const { text: whole } = await capitals(call);
    const texts = textsOf(call);
    if (!texts.includes("held")) return { status: 200, text: whole };
    tell();
    await new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
    });
    // As a route does whose caller has left: what was done by then, and why there is no more.
    if (call.accept === "application/json") return refusing("cancelled");
    const done = whole.split("\n").slice(0, texts.indexOf("held"));
    return { status: 200, text: `${[...done, '{"error":{"code":"cancelled"}}'].join("\n")}\n` };
  };
  return { callRoute, begun };
}

test("cancelled, what was done of a chunk is kept, and what was not is told", async () => {
  const { callRoute, begun } = held();
  await using work = await made({ callRoute });
  const lines = [...numbers(128), ...numbers(10), "held", ...numbers(200)];
  const { job } = await work.jobs.create(anyCaller, native(lines));
  await begun;
  assert.equal((await work.jobs.cancel(anyCaller, job.id)).state, "cancelling");
  const ended = await whenEnded(work, job.id);
  assert.equal(ended.state, "cancelled");
  const results = await linesOfAll(work, job.id);
  assert.deepEqual(
    results.map(({ line }) => line),
    lines.map((_, at) => at),
  );
  assert.equal(results[137]?.isError, false);
  assert.match(results[138]?.json ?? "", /^\{"line":138,"error":\{"code":"job_cancelled"/);
  const done = results.filter(({ isError }) => !isError).length;
  assert.equal(ended.progress.succeeded, done);
  assert.equal(ended.progress.failed, 0);
  // Of one that has ended: nothing.
  assert.deepEqual(await work.jobs.cancel(anyCaller, job.id), ended);
});

test("a deadline ends a job as expired, with what was done kept", async () => {
  const { callRoute, begun } = held();
  // Time stands still until what can be done of it is done.
  let nowMs = performance.now();
  const clock = mock.method(performance, "now", () => nowMs);
  try {
    await using work = await made({ callRoute });
    const ending = run(work, native(["a", "held"], { deadlineMs: 50 }));
    await begun;
    nowMs += 50;
    const ended = await ending;
    assert.equal(ended.state, "expired");
    const results = await linesOfAll(work, ended.id);
    assert.equal(results[0]?.json, '{"line":0,"text":"A"}');
    assert.match(results[1]?.json ?? "", /"code":"job_expired"/);
  } finally {
    clock.mock.restore();
  }
});

test("a job of requests has OpenAI's lines in two files, also of what was not run", async () => {
  const { callRoute, begun } = held();
  await using work = await made({ callRoute });
  const line = (id: string, ...texts: string[]): string =>
    `${JSON.stringify({ custom_id: id, method: "POST", url: "/v1/translate", body: { texts } })}\n`;
  const lines = [line("a", "one"), "\n", line("b", "two"), line("c", "held")].join("");
  const upload = { name: "in.jsonl", purpose: "batch" };
  const file = await work.jobs.upload(anyCaller, upload, text(lines));
  assert.equal(file.lines, 3);
  assert.equal(await contentOf(work, file.id), lines);
  const { job } = await work.jobs.create(anyCaller, {
    form: { kind: "requests", endpoint: "/v1/translate", window: "24h" },
    input: { fileId: file.id },
  });
  assert.equal(job.state, "validating");
  await begun;
  await assert.rejects(work.jobs.deleteFile(anyCaller, file.id), { code: "file_in_use" });
  await work.jobs.cancel(anyCaller, job.id);
  const ended = await whenEnded(work, job.id);
  const [output, errors] = [ended.outputFileId ?? "", ended.errorFileId ?? ""];
  const outputText = await contentOf(work, output);
  const rows = outputText
    .trimEnd()
    .split("\n")
    .map((each) => JSON.parse(each) as Record<string, unknown>);
  assert.deepEqual(
    rows.map((row) => row["custom_id"]),
    ["a", "b"],
  );
  assert.equal((await work.jobs.file(anyCaller, output)).bytes, Buffer.byteLength(outputText));
  const errorText = await contentOf(work, errors);
  assert.match(errorText, /"custom_id":"c","response":null,"error":\{"code":"batch_cancelled"/);
  assert.equal((await work.jobs.file(anyCaller, errors)).bytes, Buffer.byteLength(errorText));
  await work.jobs.remove(anyCaller, job.id);
  await assert.rejects(work.jobs.file(anyCaller, output), { code: "file_not_found" });
});

test("requests that cannot be run fail the job before anything is run", async () => {
  await using work = await made();
  const upload = { name: "in.jsonl", purpose: "batch" };
  const file = await work.jobs.upload(anyCaller, upload, text('\n{"custom_id":"a"}\n{}x\n'));
  const ended = await run(work, {
    form: { kind: "requests", endpoint: "/v1/translate", window: "24h" },
    input: { fileId: file.id },
  });
  assert.equal(ended.state, "failed");
  assert.deepEqual(
    ended.errors.map(({ line }) => line),
    [2, 3],
  );
  assert.equal(work.calls.length, 0);
});

test("a key is remembered: the same request is the same job, another one is refused", async () => {
  await using work = await made();
  const requestKey = "key-1";
  const { jobs } = work;
  const first = await jobs.create(anyCaller, native(["a"], { requestKey }));
  const again = await jobs.create(anyCaller, native(["a"], { requestKey }));
  assert.deepEqual([first.isNew, again.isNew], [true, false]);
  assert.equal(again.job.id, first.job.id);
  await assert.rejects(jobs.create(anyCaller, native(["b"], { requestKey })), {
    code: "request_key_reused",
  });
  const other: Caller = { ...anyCaller, key: "other", isAdmin: false };
  assert.equal((await jobs.create(other, native(["b"], { requestKey }))).isNew, true);
  assert.equal((await work.store.openJobs()).length + work.calls.length >= 2, true);
});

test("whoever asks sees what their key made; an administrator all of it", async () => {
  await using work = await made();
  const [one, two] = ["one", "two"].map((key) => ({ ...anyCaller, key, isAdmin: false }));
  assert.ok(one && two);
  const { job } = await work.jobs.create(one, native(["a"]));
  await assert.rejects(work.jobs.job(two, job.id), { code: "job_not_found" });
  await assert.rejects(work.jobs.cancel(two, job.id), { code: "job_not_found" });
  await assert.rejects(work.jobs.results(two, job.id, { fromLine: 0 }), { code: "job_not_found" });
  assert.equal((await work.jobs.jobs(two, { limit: 10 })).length, 0);
  assert.equal((await work.jobs.jobs(one, { limit: 10 })).length, 1);
  assert.equal((await work.jobs.jobs(anyCaller, { limit: 10 })).length, 1);
  const file = await work.jobs.upload(two, { name: "f", purpose: "batch" }, text("{}\n"));
  await assert.rejects(work.jobs.content(one, file.id), { code: "file_not_found" });
});

test("a full store and a server that stops take nothing new, and leave nothing behind", async () => {
  const store = new MemoryJobStore();
  await using work = await made({ store });
  store.bytesMax = 10_000;
  await assert.rejects(work.jobs.create(anyCaller, native(numbers(2_000))), {
    code: "job_store_full",
  });
  assert.equal(store.usage().bytes, 0);
  await assert.rejects(work.jobs.create(anyCaller, native([])), { code: "input_empty" });
  await assert.rejects(
    work.jobs.create(anyCaller, {
      ...native(["a"]),
      form: { kind: "native", task: "embed", model: null, fields: {} },
    }),
    { code: "model_not_found" },
  );
  assert.equal(store.usage().bytes, 0);
  work.views.isDraining = true;
  await assert.rejects(work.jobs.create(anyCaller, native(["a"])), { code: "draining" });
});

test("no more lines are in flight than there is room for, however long the job", async () => {
  let lines = 0;
  let most = 0;
  await using work = await made({
    options: { pipelines: 1, rowsMax: 8 },
    callRoute: async (call) => {
      const { length } = textsOf(call);
      lines += length;
      most = Math.max(most, lines);
      await setImmediate();
      lines -= length;
      return await capitals(call);
    },
  });
  const ended = await run(work, native(numbers(5_000)));
  assert.equal(ended.progress.succeeded, 5_000);
  assert.ok(most <= 512 && most > 128, `${most} lines at once`);
});

test("another runner on the same store goes on where the first one stopped, and runs nothing twice", async () => {
  const store = new MemoryJobStore();
  const { callRoute, begun } = held();
  const lines = [...numbers(256), "held", ...numbers(200)];
  let id = "";
  {
    await using work = await made({ store, callRoute, options: { rowsMax: 8 } });
    id = (await work.jobs.create(anyCaller, native(lines))).job.id;
    await begun;
  }
  const before = (await store.job(id))?.progress.chunks ?? 0;
  await using work = await made({ store });
  const ended = await whenEnded(work, id);
  assert.equal(ended.state, "completed");
  assert.equal(work.calls.length, ended.chunks - before);
  assert.deepEqual(
    (await linesOfAll(work, id)).map(({ json }) => (JSON.parse(json) as { text: string }).text),
    lines.map((each) => each.toUpperCase()),
  );
});

test("a job whose last chunk was committed before a crash is completed by the next runner", async () => {
  const store = new MemoryJobStore();
  const { callRoute } = held();
  let id = "";
  {
    await using work = await made({ store, callRoute });
    id = (await work.jobs.create(anyCaller, native(["held"]))).job.id;
  }
  const done = [{ place: 0, isError: false, json: '{"line":0,"text":"HELD"}' }];
  await store.commit(id, encodeResults({ index: 0, firstLine: 0 }, done));
  await using work = await made({ store });
  assert.equal((await whenEnded(work, id)).state, "completed");
  assert.equal(work.calls.length, 0);
});

test("defect: where no model is heard of yet a job is refused for now, and not for good", async () => {
  await using work = await made();
  const all = work.views.models();
  work.views.models = () => [];
  await assert.rejects(work.jobs.create(anyCaller, native(["a"])), { code: "not_ready" });
  work.views.models = () => all;
  await work.jobs.create(anyCaller, native(["a"]));
});

test("defect: a job that the store made without saying so had its lines deleted, and never ended", async () => {
  for (const more of [{}, { requestKey: "k" }]) {
    const store = new MemoryJobStore();
    const create = store.createJob.bind(store);
    store.createJob = async (job) => {
      await create(job);
      throw new MillraceError("job_store_failed", "nobody answers");
    };
    await using work = await made({ store });
    const asked = work.jobs.create(anyCaller, { ...native(["a"]), ...more });
    await assert.rejects(asked, { code: "job_store_failed" });
    const [job] = await store.jobs({ owner: undefined, limit: 1 });
    assert.equal((await whenEnded(work, job?.id ?? "")).progress.succeeded, 1);
    store.createJob = () => Promise.reject(new MillraceError("job_store_failed", "not at all"));
    const { bytes } = store.usage();
    const again = { ...native(["a second"]), ...(more.requestKey && { requestKey: "l" }) };
    await assert.rejects(work.jobs.create(anyCaller, again), { code: "job_store_failed" });
    assert.equal(store.usage().bytes, bytes, "of what was not made nothing is kept");
  }
});

test("how the store is stands in the status: starting, there, away, and what it holds", async () => {
  class Away extends MemoryJobStore {
    why: string | null = "told to be away";

    override reason(): string | null {
      return this.why;
    }
  }
  const store = new Away();
  await using work = await made({ store, runs: false });
  const { state, reason } = work.jobs.status();
  assert.deepEqual({ state, reason }, { state: "starting", reason: "told to be away" });
  store.why = null;
  await work.jobs.create(anyCaller, native(["one"]));
  await until(() => work.jobs.status().open === 1);
  const { bytes, ...there } = work.jobs.status();
  assert.equal(bytes, 6);
  const counts = { open: 1, runningChunks: 0, commits: 0, commitMs: 0 };
  const held = { ...counts, bytesMax: store.bytesMax };
  assert.deepEqual(there, { state: "ok", reason: null, ...held });
  store.why = "gone again";
  assert.deepEqual(work.jobs.status(), { state: "failed", reason: "gone again", bytes, ...held });
});

test("defect: who watched a job heard of no pace while its server was long in offering its chunks", async () => {
  const store = new MemoryJobStore();
  let offered = (): void => {};
  const offering = new Promise<void>((resolve) => {
    offered = resolve;
  });
  class SlowQueue extends LocalQueue {
    override async offer(job: StoredJob): Promise<void> {
      await offering;
      await super.offer(job);
    }
  }
  await using work = await made({ store, queue: new SlowQueue(store), runs: false });
  const { job } = await work.jobs.create(anyCaller, native(numbers(384)));
  await until(async () => (await store.job(job.id))?.state === "queued");
  const left = new AbortController();
  const paces: (number | undefined)[] = [];
  work.jobs.watch(
    job.id,
    () => void paces.push(work.jobs.pace(job.id)?.linesPerSecond),
    left.signal,
  );
  // Another server runs it.
  await store.changeJob(job.id, () => ({ state: "in_progress", startedAtMs: 1 }));
  for (const chunk of [0, 1]) {
    await store.commit(job.id, resultsOf(chunk));
    await until(() => paces.length > chunk);
  }
  left.abort();
  offered();
  assert.ok(paces.at(-1), JSON.stringify(paces));
});
