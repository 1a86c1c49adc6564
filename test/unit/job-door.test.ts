/** Jobs that have not ended are bounded, of all and of each tenant; who asks for one more is told at the door. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import type { JobRequest } from "#src/jobs/jobs.js";
import { anyCaller } from "#src/work/caller.js";
import { made, text, whenEnded } from "../support/job-work.js";

function native(tenant: string, more: Partial<JobRequest> = {}): JobRequest {
  const form = { kind: "native", task: "translate", model: null, fields: {} } as const;
  return { form, input: { lines: text('"a"\n') }, tenant, ...more };
}

function isFull(option: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert(error instanceof MillraceError);
    assert.deepEqual(
      [error.code, error.retryable, error.retryAfterMs],
      ["queue_full", true, 10_000],
    );
    return option.test(error.message);
  };
}

test("attack: who makes jobs without end is refused at a bound, and no other tenant with them", async () => {
  const options = { jobsOpenMax: 5, jobsTenantOpenMax: 3 };
  await using work = await made({ options, runs: false });
  const { jobs, store } = work;
  // All at once: none of them is in the store when the others ask.
  const asked = await Promise.allSettled(
    Array.from({ length: 20 }, () => jobs.create(anyCaller, native("greedy"))),
  );
  const [first, ...others] = asked.flatMap((each) =>
    each.status === "fulfilled" ? [each.value.job] : [],
  );
  assert.equal(others.length, 2);
  await assert.rejects(jobs.create(anyCaller, native("greedy")), isFull(/--jobs-tenant-open-max/));
  await jobs.create(anyCaller, native("b"));
  await jobs.create(anyCaller, native("b"));
  await assert.rejects(jobs.create(anyCaller, native("c")), isFull(/5 jobs .*--jobs-open-max/));
  assert.equal((await store.openJobs()).length, 5);
  await jobs.cancel(anyCaller, first?.id ?? "");
  await whenEnded(work, first?.id ?? "");
  await jobs.create(anyCaller, native("c"));
  await assert.rejects(jobs.create(anyCaller, native("greedy")), isFull(/--jobs-open-max/));
});

test("it is refused before its lines are read; the same request again is its job, and no more of them", async () => {
  await using work = await made({ options: { jobsOpenMax: 1, jobsTenantOpenMax: 1 }, runs: false });
  const { jobs } = work;
  const { job } = await jobs.create(anyCaller, native("a", { requestKey: "k" }));
  let isRead = false;
  const lines = (async function* () {
    isRead = true;
    yield Buffer.from('"a"\n');
  })();
  for (const more of [{}, { requestKey: "another" }]) {
    const asked = native("a", { input: { lines }, ...more });
    await assert.rejects(jobs.create(anyCaller, asked), isFull(/./));
    assert.equal(isRead, false);
  }
  const again = await jobs.create(anyCaller, native("a", { requestKey: "k" }));
  assert.deepEqual([again.isNew, again.job.id], [false, job.id]);
  await assert.rejects(jobs.create(anyCaller, native("a", { requestKey: "l" })), isFull(/./));
  const { bytes } = work.store.usage();
  assert.equal(bytes, Buffer.byteLength('"a"\n'), "of what was refused nothing is kept");
});

test("a request that fails behind the door leaves its place", async () => {
  await using work = await made({ options: { jobsOpenMax: 1 }, runs: false });
  const { jobs } = work;
  for (let at = 0; at < 3; at += 1) {
    const asked = native("a", { input: { lines: text("\n") } });
    await assert.rejects(jobs.create(anyCaller, asked), { code: "input_empty" });
  }
  await jobs.create(anyCaller, native("a"));
});
