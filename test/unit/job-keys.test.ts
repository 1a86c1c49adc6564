/** Lines of durable jobs and what their key may: counted once, where the caller came in, whoever runs them; the clocks are the test's. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import type { Access } from "#src/access/access.js";
import { amongServers } from "#src/access/deployment-access.js";
import { GuardedSubmit } from "#src/access/guarded-submit.js";
import type { KeyRecord } from "#src/access/key-file.js";
import { openKeyedAccess } from "#src/access/keyed-access.js";
import { encodeResults } from "#src/jobs/chunk-results.js";
import type { JobRequest, RouteCall, RouteReply } from "#src/jobs/jobs.js";
import { KeyReturns } from "#src/jobs/key-returns.js";
import type { StoredJob } from "#src/jobs/store.js";
import { createLog } from "#src/log.js";
import type { Caller } from "#src/work/caller.js";
import { EchoSubmit } from "../support/echo-submit.js";
import { capitals, type MadeOptions, made, text, whenEnded } from "../support/job-work.js";
import { Keys } from "../support/keys.js";
import { MemoryJobStore } from "../support/memory-job-store.js";
import { until } from "../support/real-server.js";

const log = createLog({ log: "json", logLevel: "silent", destination: { write: () => {} } });

interface Shop extends AsyncDisposable {
  readonly access: Access;
  readonly caller: Caller;
  readonly used: () => number;
  readonly clock: { dateMs: number; nowMs: number };
  reopen(): Promise<void>;
}

async function shop(more: Partial<KeyRecord>): Promise<Shop> {
  const keys = await Keys.make();
  const key = await keys.add("shop", more);
  const clock = { dateMs: Date.UTC(2026, 10, 26), nowMs: 0 };
  const open = (): Promise<Access> => {
    const clocks = { nowMs: () => clock.nowMs, dateMs: () => clock.dateMs };
    return openKeyedAccess({ path: keys.path, log, ...clocks });
  };
  let access = await open();
  const caller = access.callerOf(key);
  return {
    get access() {
      return access;
    },
    caller,
    clock,
    used: () => access.usageOf(caller)?.inputs ?? -1,
    reopen: async () => {
      await access.close();
      access = await open();
    },
    [Symbol.asyncDispose]: async () => {
      await access.close();
      await keys[Symbol.asyncDispose]();
    },
  };
}

function lines(...all: readonly unknown[]): JobRequest {
  const form = { kind: "native", task: "translate", model: null, fields: {} } as const;
  const body = all.map((each) => `${JSON.stringify(each)}\n`).join("");
  return { form, input: { lines: text(body) } };
}

function texts(count: number): readonly string[] {
  return Array.from({ length: count }, (_, at) => `t ${at}`);
}

/** Nothing of a job is done until it is left; of the first lines of a chunk as many as are said. */
function held(done = 0): MadeOptions["callRoute"] {
  return async (call: RouteCall, signal: AbortSignal): Promise<RouteReply> => {
    await new Promise<void>((resolve) => {
      signal.addEventListener("abort", () => resolve(), { once: true });
      if (signal.aborted) resolve();
    });
    const all = (await capitals(call)).text.split("\n").slice(0, done);
    return { status: 200, text: `${[...all, '{"error":{"code":"cancelled"}}'].join("\n")}\n` };
  };
}

test("defect: the lines of a job passed the quota of their key unless whoever ran them had it", async () => {
  await using key = await shop({ quotaPerMonth: 10 });
  await using work = await made({ keys: key.access });
  const { jobs } = work;
  const { job } = await jobs.create(key.caller, lines("a", { texts: ["b", "c", "d"] }, "e"));
  assert.equal(key.used(), 5, "an object has as many as it says");
  await assert.rejects(jobs.create(key.caller, lines(...texts(6))), {
    code: "quota_exceeded",
    message: /has 5 left, and the request has 6/,
  });
  key.access.take(key.caller, { inputs: 5, characters: 0 });
  await assert.rejects(jobs.create(key.caller, lines("x")), { code: "quota_exceeded" });
  assert.throws(() => key.access.take(key.caller, { inputs: 1, characters: 0 }), {
    code: "quota_exceeded",
  });
  assert.equal((await whenEnded(work, job.id)).state, "completed");
  assert.equal(key.used(), 10, "what was run is given back to nobody");
  assert.equal((await jobs.files(key.caller, { limit: 10 })).length, 0);
});

test("attack: a batch whose requests have many inputs each is counted by inputs, and not by lines", async () => {
  await using key = await shop({ quotaPerMonth: 100 });
  await using work = await made({ keys: key.access });
  const { jobs } = work;
  const row = (input: unknown): string =>
    JSON.stringify({ custom_id: "1", method: "POST", url: "/v1/embeddings", body: { input } });
  const upload = async (input: unknown): Promise<JobRequest> => {
    const named = { name: "b.jsonl", purpose: "batch" };
    const file = await jobs.upload(key.caller, named, text(`${row(input)}\n`));
    const form = { kind: "requests", endpoint: "/v1/embeddings", window: "24h" } as const;
    return { form, input: { fileId: file.id } };
  };
  await assert.rejects(jobs.create(key.caller, await upload(texts(101))), {
    code: "quota_exceeded",
  });
  assert.equal(key.used(), 0);
  await jobs.create(key.caller, await upload(texts(100)));
  assert.equal(key.used(), 100);
});

test("a file that somebody without a key uploaded is counted when a job of a key reads it", async () => {
  await using key = await shop({ quotaPerMonth: 3, admin: true });
  await using work = await made({ keys: key.access });
  const { jobs } = work;
  const anybody = { ...key.caller, key: null, keyId: null };
  const file = await jobs.upload(anybody, { name: "b", purpose: "batch" }, text('"a"\n"b"\n'));
  const form = { kind: "requests", endpoint: "/v1/embeddings", window: "24h" } as const;
  await jobs.create(key.caller, { form, input: { fileId: file.id } });
  assert.equal(key.used(), 2);
});

test("a rate holds back no line: a job is one input of it, however many lines it has", async () => {
  await using key = await shop({ ratePerSecond: 2 });
  await using work = await made({ keys: key.access });
  const { jobs } = work;
  const first = await jobs.create(key.caller, lines(...texts(1_000)));
  await jobs.create(key.caller, lines("a"));
  await assert.rejects(jobs.create(key.caller, lines("b")), (error: Error) => {
    assert.equal("code" in error && error.code, "rate_limited");
    return "retryAfterMs" in error && error.retryAfterMs === 500;
  });
  assert.equal(key.used(), 1_001);
  key.clock.nowMs += 500;
  await jobs.create(key.caller, lines("b"));
  assert.equal((await whenEnded(work, first.job.id)).progress.succeeded, 1_000);
});

test("lines are counted by no server that runs them, whatever it knows of the key", async () => {
  await using key = await shop({ quotaPerMonth: 1, ratePerSecond: 1 });
  const request = {
    id: "r",
    task: "translate",
    model: null,
    fields: { texts: ["a", "b", "c"] },
    class: null,
    tenant: "default",
    deadlineAtMs: null,
    payloadBytes: 0,
    caller: { ...key.caller, jobTenant: "shop" },
  };
  for (const access of [key.access, amongServers(key.access)]) {
    const submit = new GuardedSubmit(new EchoSubmit(), access);
    let outcomes = 0;
    const onOutcome = (): void => void (outcomes += 1);
    await submit.submit(request, new AbortController().signal, { onOutcome });
    assert.equal(outcomes, 3);
  }
  assert.equal(key.used(), 0);
});

test("the same request again is told of its job, and counted once, when nothing is left as well", async () => {
  await using key = await shop({ quotaPerMonth: 3, ratePerSecond: 1 });
  await using work = await made({ keys: key.access, options: { jobsOpenMax: 1 }, runs: false });
  const { jobs } = work;
  const asked = (): JobRequest => ({ ...lines("a", "b", "c"), requestKey: "monday" });
  const { job } = await jobs.create(key.caller, asked());
  const again = await jobs.create(key.caller, asked());
  assert.deepEqual([again.isNew, again.job.id], [false, job.id]);
  assert.equal(key.used(), 3);
  await assert.rejects(jobs.create(key.caller, { ...lines("a"), requestKey: "monday" }), {
    code: "request_key_reused",
  });
  assert.equal(key.used(), 3);
});

test("what the store refuses is not counted, and neither is a second request at the same time", async () => {
  await using key = await shop({ quotaPerMonth: 100 });
  const store = new MemoryJobStore();
  await using work = await made({ keys: key.access, store, runs: false });
  const { jobs } = work;
  const asked = (): JobRequest => ({ ...lines("a", "b"), requestKey: "twice" });
  await Promise.all([jobs.create(key.caller, asked()), jobs.create(key.caller, asked())]);
  assert.equal(key.used(), 2);
  const create = store.createJob.bind(store);
  store.createJob = () => Promise.reject(new Error("the disk is gone"));
  await assert.rejects(jobs.create(key.caller, lines("c")), /the disk is gone/);
  store.createJob = create;
  assert.equal(key.used(), 2);
});

for (const [what, isMade, used] of [
  ["it was made", true, 2],
  ["it was not made", false, 0],
] as const) {
  test(`a store that fails as it makes a job is asked whether it has: ${what}`, async () => {
    await using key = await shop({ quotaPerMonth: 100 });
    const store = new MemoryJobStore();
    const create = store.createJob.bind(store);
    store.createJob = async (job) => {
      if (isMade) await create(job);
      throw new MillraceError("job_store_failed", "nobody knows");
    };
    {
      await using work = await made({ keys: key.access, store, runs: false });
      const asked = { ...lines("a", "b"), requestKey: "k" };
      await assert.rejects(work.jobs.create(key.caller, asked), { code: "job_store_failed" });
    }
    // Who ends it has waited for the answer.
    assert.equal(key.used(), used);
  });
}

for (const [how, done, used] of [
  ["cancelled before anything was run", 0, 0],
  ["cancelled in the middle of a chunk", 40, 40],
] as const) {
  test(`what was counted and not run is given back, once: ${how}`, async () => {
    await using key = await shop({ quotaPerMonth: 300 });
    const callRoute = held(done);
    await using work = await made({ keys: key.access, ...(callRoute && { callRoute }) });
    const { jobs } = work;
    const { job } = await jobs.create(key.caller, lines(...texts(100)));
    assert.equal(key.used(), 100);
    await until(() => work.calls.length > 0);
    await jobs.cancel(key.caller, job.id);
    await whenEnded(work, job.id);
    await until(() => key.used() === used);
    const { owed } = (await work.store.job(job.id)) ?? assert.fail("it is kept");
    assert.equal(owed, null);
    // It is looked at again whenever something of it changes.
    await work.store.changeJob(job.id, () => ({ calledAtMs: 1 }));
    await jobs.remove(key.caller, job.id);
    assert.equal(key.used(), used);
  });
}

test("attack: who cancels behind the lines that have many inputs is given back the others only", async () => {
  await using key = await shop({ quotaPerMonth: 10_000 });
  const large = Array.from({ length: 128 }, () => ({ texts: texts(10) }));
  let asked = 0;
  await using work = await made({
    keys: key.access,
    callRoute: (call, signal) => {
      asked += 1;
      if (call.accept === "application/json") return capitals(call);
      return held()?.(call, signal) ?? assert.fail();
    },
  });
  const { jobs } = work;
  const { job } = await jobs.create(key.caller, lines(...large, ...texts(1_000)));
  assert.equal(key.used(), 2_280);
  await until(
    async () => asked > 0 && ((await work.store.job(job.id))?.progress.succeeded ?? 0) === 128,
  );
  await jobs.cancel(key.caller, job.id);
  await until(() => key.used() === 1_280);
});

test("a batch that cannot be run is given back whole, and so is a job whose time is over", async () => {
  await using key = await shop({ quotaPerMonth: 10 });
  await using work = await made({ keys: key.access, runs: false });
  const { jobs } = work;
  const file = await jobs.upload(
    key.caller,
    { name: "b", purpose: "batch" },
    text(
      '{"custom_id":"1","method":"POST","url":"/v1/translate","body":{"texts":["a","b"]}}\n{}\n',
    ),
  );
  const form = { kind: "requests", endpoint: "/v1/embeddings", window: "24h" } as const;
  const { job } = await jobs.create(key.caller, { form, input: { fileId: file.id } });
  assert.equal(job.receipt?.inputs, 3);
  assert.equal((await whenEnded(work, job.id)).state, "failed");
  await until(() => key.used() === 0);
  const late = await jobs.create(key.caller, { ...lines("a", "b"), deadlineMs: 5 });
  await until(async () => (await work.store.job(late.job.id))?.state === "expired");
  await until(() => key.used() === 0);
});

test("a restart counts nothing again, and gives back what ended while nobody was there, by who counted it", async () => {
  await using key = await shop({ quotaPerMonth: 1_000 });
  await using others = await shop({ quotaPerMonth: 1_000 });
  const store = new MemoryJobStore();
  const ids: string[] = [];
  {
    const work = await made({ keys: key.access, store, runs: false });
    for (let at = 0; at < 2; at += 1) {
      ids.push((await work.jobs.create(key.caller, lines(...texts(100)))).job.id);
    }
    await work.stop({ drainMs: 0 });
  }
  await key.reopen();
  assert.equal(key.used(), 200, "kept over a restart");
  {
    // Another server, with a book of its own, ends one.
    await using elsewhere = await made({ keys: others.access, store, runs: false });
    await elsewhere.jobs.cancel({ ...key.caller, isAdmin: true }, ids[0] ?? "");
    assert.equal((await whenEnded(elsewhere, ids[0] ?? "")).state, "cancelled");
    others.access.take(others.caller, { inputs: 7, characters: 0 });
  }
  assert.deepEqual([key.used(), others.used()], [200, 7]);
  await using work = await made({ keys: key.access, store });
  await until(() => key.used() === 100);
  assert.equal((await whenEnded(work, ids[1] ?? "")).state, "completed");
  assert.deepEqual([key.used(), others.used()], [100, 7]);
});

test("what was counted in a month that is over is not given back in the next one", async () => {
  await using key = await shop({ quotaPerMonth: 1_000 });
  await using work = await made({ keys: key.access, runs: false });
  const { job } = await work.jobs.create(key.caller, lines(...texts(100)));
  key.clock.dateMs = Date.UTC(2026, 11, 1);
  key.access.take(key.caller, { inputs: 500, characters: 0 });
  await work.jobs.cancel(key.caller, job.id);
  await whenEnded(work, job.id);
  await until(async () => (await work.store.job(job.id))?.owed === null);
  assert.equal(key.used(), 500);
});

test("a store that cannot be read or written just now is asked again, and gives back once", async () => {
  const store = new MemoryJobStore();
  await using key = await shop({ quotaPerMonth: 1_000 });
  await using work = await made({ keys: key.access, store, runs: false });
  const { job } = await work.jobs.create(key.caller, lines(...texts(100)));
  const given: number[] = [];
  let failures = 3;
  const failing = <T>(work: () => Promise<T>): Promise<T> => {
    failures -= 1;
    return failures < 0 ? work() : Promise.reject(new Error("the disk is away"));
  };
  const owing = { ...job, owed: { inputs: 60, characters: 0 } };
  await store.changeJob(job.id, () => ({ owed: owing.owed }));
  const returns = new KeyReturns({
    store: {
      job: (id) => store.job(id),
      requestedJob: (owner, requestKey) => store.requestedJob(owner, requestKey),
      jobs: (query) => failing(() => store.jobs(query)),
      changeJob: (id, change) => failing(() => store.changeJob(id, change)),
    },
    keys: { giveBack: (_receipt, { inputs }) => void given.push(inputs), hasCounted: () => true },
    log,
    retryMs: 1,
  });
  returns.start();
  returns.ended(owing);
  await until(() => given.length > 0);
  returns.ended(owing);
  await returns.stop();
  assert.deepEqual(given, [60]);
});

test("more jobs than are given back at once are found when those are done", async () => {
  const store = new MemoryJobStore();
  await using key = await shop({ quotaPerMonth: 1_000_000 });
  const jobs: StoredJob[] = [];
  {
    await using work = await made({ keys: key.access, store, runs: false });
    for (let at = 0; at < 300; at += 1) {
      const { job } = await work.jobs.create(key.caller, lines("a", "b"));
      const owed = { inputs: 2, characters: 0 };
      jobs.push((await store.changeJob(job.id, () => ({ owed }))) ?? assert.fail("it was made"));
    }
  }
  assert.equal(key.used(), 600);
  let [underWay, most] = [0, 0];
  const returns = new KeyReturns({
    store: {
      job: (id) => store.job(id),
      requestedJob: (owner, requestKey) => store.requestedJob(owner, requestKey),
      jobs: (query) => store.jobs(query),
      changeJob: async (id, change) => {
        underWay += 1;
        most = Math.max(most, underWay);
        await new Promise((resolve) => setImmediate(resolve));
        underWay -= 1;
        return await store.changeJob(id, change);
      },
    },
    keys: key.access,
    log,
  });
  for (const job of jobs) returns.ended(job);
  await until(() => key.used() === 0);
  await returns.stop();
  assert.equal(most, 256);
});

test("attack: lines that another server committed as the job ended are not given back", async () => {
  const store = new MemoryJobStore();
  await using key = await shop({ quotaPerMonth: 1_000 });
  await using work = await made({ keys: key.access, store, runs: false });
  const { job } = await work.jobs.create(key.caller, lines(...texts(200)));
  const had = Array.from({ length: 128 }, (_, place) => ({ place, isError: false, json: "{}" }));
  await store.commit(job.id, encodeResults({ index: 0, firstLine: 0 }, had));
  // As whoever ended it had it, before that.
  const owed = { inputs: 200, characters: 0 };
  await store.changeJob(job.id, () => ({
    state: "cancelled",
    endedAtMs: Date.now(),
    expiresAtMs: Date.now() + 60_000,
    owed,
  }));
  await until(async () => (await store.job(job.id))?.owed === null);
  assert.equal(key.used(), 128);
});

test("defect: a job of a key was never over where some of what it read or wrote was damaged", async () => {
  await using key = await shop({ quotaPerMonth: 10_000 });
  const store = new MemoryJobStore();
  await using work = await made({ keys: key.access, store, runs: false });
  const { jobs } = work;
  const pairs = Array.from({ length: 4 * 128 }, () => ({ texts: ["a", "b"] }));
  const { job } = await jobs.create(key.caller, lines(...pairs));
  assert.equal(key.used(), 1_024);
  const had = (count: number) =>
    Array.from({ length: count }, (_, place) => ({ place, isError: false, json: "{}" }));
  await store.commit(job.id, encodeResults({ index: 0, firstLine: 0 }, had(128)));
  await store.commit(job.id, encodeResults({ index: 1, firstLine: 128 }, had(100)));
  const lost = new MillraceError("job_data_lost", "it is damaged");
  const chunk = store.chunk.bind(store);
  const results = store.results.bind(store);
  store.results = (id, index) => (index === 1 ? Promise.reject(lost) : results(id, index));
  store.chunk = (id, index) => (index === 2 ? Promise.reject(lost) : chunk(id, index));
  await jobs.cancel(key.caller, job.id);
  assert.equal((await whenEnded(work, job.id)).state, "cancelled");
  // The last chunk's: of the others some was run, or nobody knows what it was.
  await until(() => key.used() === 1_024 - 256);
});

test("defect: who removed a job as soon as it was over was never given back what was not run", async () => {
  await using key = await shop({ quotaPerMonth: 1_000 });
  const store = new MemoryJobStore();
  await using work = await made({ keys: key.access, store, runs: false });
  const { jobs } = work;
  const { job } = await jobs.create(key.caller, lines(...texts(100)));
  const changeJob = store.changeJob.bind(store);
  let goOn = (): void => {};
  const held = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  store.changeJob = async (id, change, files) => {
    const now = (await store.job(id)) ?? assert.fail("it is there");
    if (now.owed !== null && change(now)?.owed === null) await held;
    return await changeJob(id, change, files);
  };
  await jobs.cancel(key.caller, job.id);
  await whenEnded(work, job.id);
  const removing = jobs.remove(key.caller, job.id);
  for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
  goOn();
  await removing;
  assert.equal(await store.job(job.id), null);
  assert.equal(key.used(), 0);
});

test("defect: what a job owed that ended while its store was asked whether it was made was not given back", async () => {
  const store = new MemoryJobStore();
  await using key = await shop({ quotaPerMonth: 1_000 });
  await using work = await made({ keys: key.access, store, runs: false });
  const { job } = await work.jobs.create(key.caller, lines(...texts(100)));
  const owed = { inputs: 100, characters: 0 };
  const owing = (await store.changeJob(job.id, () => ({ owed }))) ?? assert.fail();
  let answer = (): void => {};
  const returns = new KeyReturns({
    store: {
      job: async (id) => {
        await new Promise<void>((resolve) => {
          answer = resolve;
        });
        return await store.job(id);
      },
      requestedJob: (owner, requestKey) => store.requestedJob(owner, requestKey),
      jobs: (query) => store.jobs(query),
      changeJob: (id, change) => store.changeJob(id, change),
    },
    keys: key.access,
    log,
  });
  returns.unsure(job, () => assert.fail("it was made"));
  returns.ended(owing);
  await until(() => key.used() === 0);
  answer();
  await returns.stop();
});
