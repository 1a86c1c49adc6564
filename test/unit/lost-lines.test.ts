/** What a store has lost of a job, for good: it costs the lines that it had, the job ends, and the log says so once. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MillraceError } from "millrace-client";
import type { Chunk, ChunkResults } from "#src/jobs/store.js";
import { anyCaller } from "#src/work/caller.js";
import {
  contentOf,
  linesOfAll,
  type MadeWork,
  made,
  text,
  whenEnded,
} from "../support/job-work.js";
import { MemoryJobStore } from "../support/memory-job-store.js";
import { until } from "../support/until.js";

/** As a disk or a stream that lost some of what it was given. */
class LosingStore extends MemoryJobStore {
  readonly chunksLost = new Set<number>();
  readonly resultsLost = new Set<number>();

  override async chunk(fileId: string, index: number): Promise<Chunk | null> {
    if (this.chunksLost.has(index)) throw new MillraceError("job_data_lost", "told to lose it");
    return await super.chunk(fileId, index);
  }

  override async results(jobId: string, index: number): Promise<ChunkResults | null> {
    if (this.resultsLost.has(index)) throw new MillraceError("job_data_lost", "told to lose it");
    return await super.results(jobId, index);
  }
}

const linesEach = 128;
const form = { kind: "native", task: "translate", model: null, fields: {} } as const;

async function submitted(work: MadeWork, chunks: number): Promise<string> {
  const lines = Array.from({ length: chunks * linesEach }, (_, line) => `"line ${line}"\n`);
  const { job } = await work.jobs.create(anyCaller, { form, input: { lines: text(...lines) } });
  return job.id;
}

/** Which chunks' lines are which: a letter each. */
function told(lines: readonly { readonly line: number; readonly json: string }[]): string {
  const kinds = lines.map(({ json }) => (json.includes('"job_data_lost"') ? "x" : "·"));
  const numbers = lines.map(({ line }) => line);
  assert.deepEqual(
    numbers,
    [...numbers].sort((a, b) => a - b),
  );
  const each = Array.from({ length: Math.ceil(kinds.length / linesEach) }, (_, at) =>
    [...new Set(kinds.slice(at * linesEach, (at + 1) * linesEach))].join(""),
  );
  return `${lines.length}: ${each.join("")}`;
}

for (const [lost, expected] of [
  [[0], "640: x····"],
  [[1, 2], "640: ·xx··"],
  [[4], "640: ····x"],
  [[0, 2, 3, 4], "640: x·xxx"],
] as const) {
  test(`defect: chunks ${lost.join(", ")} of five could not be read, and their job ran for ever`, async () => {
    const store = new LosingStore();
    for (const index of lost) store.chunksLost.add(index);
    await using work = await made({ store });
    const id = await submitted(work, 5);
    const job = await whenEnded(work, id);
    assert.equal(job.state, "completed");
    assert.equal(job.progress.failed, lost.length * linesEach);
    assert.equal(job.progress.succeeded + job.progress.failed, job.lines);
    assert.equal(told(await linesOfAll(work, id)), expected);
    for (const line of [0, 127, 128, 300, 511, 639]) {
      const [first, ...others] = await linesOfAll(work, id, { fromLine: line });
      assert.equal(first?.line, line);
      assert.equal(others.length, 639 - line);
    }
  });
}

test("defect: a job whose input was gone ran for ever; it fails, and says why", async () => {
  const store = new LosingStore();
  await using work = await made({ store, runs: false });
  const id = await submitted(work, 2);
  await store.deleteFile((await store.job(id))?.fileId ?? "");
  await using runner = await made({ store });
  const job = await whenEnded(runner, id);
  assert.equal(job.state, "failed");
  assert.equal(job.errors[0]?.code, "job_data_lost");
  assert.equal(told(await linesOfAll(runner, id)), "256: xx");
});

test("results that are damaged cost their own lines, wherever is read from", async () => {
  const store = new LosingStore();
  await using work = await made({ store });
  const id = await submitted(work, 5);
  await whenEnded(work, id);
  store.resultsLost.add(2);
  assert.equal(told(await linesOfAll(work, id)), "640: ··x··");
  store.chunksLost.add(2);
  assert.equal(told(await linesOfAll(work, id)), "640: ··x··");
  for (const line of [0, 256, 300, 384, 600]) {
    assert.equal((await linesOfAll(work, id, { fromLine: line }))[0]?.line, line);
  }
});

async function batchOf(work: MadeWork, chunks: number): Promise<string> {
  const body = { model: "m", input: "x" };
  const lines = Array.from({ length: chunks * linesEach }, (_, at) => {
    const request = { custom_id: `${at}`, method: "POST", url: "/v1/embeddings", body };
    return `${JSON.stringify(request)}\n`;
  });
  const upload = { name: "in.jsonl", purpose: "batch" };
  const { id: fileId } = await work.jobs.upload(anyCaller, upload, text(...lines));
  const batch = { kind: "requests", endpoint: "/v1/embeddings", window: "24h" } as const;
  return (await work.jobs.create(anyCaller, { form: batch, input: { fileId } })).job.id;
}

test("defect: a batch whose requests could not be read was looked at again and again", async () => {
  const store = new LosingStore();
  store.chunksLost.add(1);
  await using work = await made({ store });
  const job = await whenEnded(work, await batchOf(work, 3));
  assert.equal(job.state, "failed");
  assert.equal(job.errors[0]?.code, "job_data_lost");
});

test("defect: a batch whose input was damaged meanwhile could not be cancelled", async () => {
  const store = new LosingStore();
  await using work = await made({ store, runs: false });
  const id = await batchOf(work, 3);
  await until(async () => (await store.job(id))?.state === "queued");
  store.chunksLost.add(1);
  await work.jobs.cancel(anyCaller, id);
  const job = await whenEnded(work, id);
  assert.equal(job.state, "cancelled");
  const errors = (await contentOf(work, job.errorFileId ?? "")).trim().split("\n");
  assert.equal(errors.length, 3 * linesEach);
  assert.equal(errors.filter((line) => line.includes('"batch_cancelled"')).length, errors.length);
});
