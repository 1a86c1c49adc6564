/** Durable jobs through whole servers: what a job says is what its route says, and nothing that dies changes it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import type { JobReply, JobStatus } from "millrace-client/wire";
import { Random } from "../sim/random.js";
import { FakeModels } from "../support/fake-models.js";
import { isLong } from "../support/long.js";
import { childrenOf } from "../support/processes.js";
import { post, sentences, startReal, until } from "../support/real-server.js";
import { ServeProcess } from "../support/serve-process.js";
import { TempDir } from "../support/temp-dir.js";

async function submit(url: string, head: object, inputs: readonly unknown[]): Promise<string> {
  const response = await fetch(`${url}/v1/jobs`, {
    method: "POST",
    headers: { "content-type": "application/x-ndjson" },
    body: [head, ...inputs].map((line) => `${JSON.stringify(line)}\n`).join(""),
  });
  const reply = (await response.json()) as JobReply;
  assert.equal(response.status, 202, JSON.stringify(reply));
  return reply.job.id;
}

async function statusOf(url: string, id: string): Promise<JobStatus> {
  const response = await fetch(`${url}/v1/jobs/${id}`);
  const reply = (await response.json()) as JobReply;
  assert.equal(response.status, 200, JSON.stringify(reply));
  return reply.job;
}

function completed(url: string, id: string): Promise<JobStatus> {
  return until(async () => {
    const status = await statusOf(url, id);
    return status.endedAt === null ? null : status;
  });
}

/** Its lines, without what the stream says at its end. */
async function resultsOf(url: string, id: string): Promise<string[]> {
  const text = await (await fetch(`${url}/v1/jobs/${id}/results`)).text();
  return text.split("\n").filter((line) => line.startsWith('{"line":'));
}

test("a job's lines have the results, to the byte, that the route gives, also behind a restart", async () => {
  await using data = await TempDir.make();
  const inputs = [...sentences, ""];
  const head = { task: "translate", model: "en-zh", beams: 1 };
  let id = "";
  let direct = "";
  {
    await using server = await startReal({ data: data.path, pipelines: 1 });
    id = await submit(server.url, head, inputs);
    await completed(server.url, id);
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    assert.match(
      metrics,
      new RegExp(`^millrace_job_lines_total.outcome="done". ${inputs.length}$`, "m"),
    );
    assert.match(metrics, /^millrace_jobs_ended_total.state="completed". 1$/m);
    assert.match(metrics, /^millrace_job_store_bytes [1-9]/m);
    const request = { model: "en-zh", texts: inputs, beams: 1 };
    const reply = await post(server.url, request, { headers: { accept: "application/x-ndjson" } });
    direct = await reply.text();
    await assert.rejects(startReal({ data: data.path, pipelines: 1 }), { code: "data_in_use" });
  }
  const byIndex = direct
    .split("\n")
    .filter((line) => line.startsWith('{"index":'))
    .map((line) => line.replace('{"index":', '{"line":'))
    .sort((left, right) => lineOf(left) - lineOf(right));
  await using server = await startReal({ data: data.path, pipelines: 1 });
  assert.deepEqual(await resultsOf(server.url, id), byIndex);
  const { state, succeeded, failed } = await statusOf(server.url, id);
  assert.deepEqual([state, succeeded, failed], ["completed", inputs.length, 0]);
});

function lineOf(json: string): number {
  return (JSON.parse(json) as { line: number }).line;
}

const serveFake = fileURLToPath(new URL("../support/serve-fake.js", import.meta.url));

/** The server and its workers, at once. */
async function killTree(server: ServeProcess): Promise<void> {
  const pids = [server.pid, ...childrenOf(server.pid)];
  for (const pid of pids) process.kill(pid, "SIGKILL");
  await server.exited;
}

test("killed with all its processes again and again, a job has one result for each line, and the same", async () => {
  const seed = Number(process.env["SEED"] ?? 9);
  const random = new Random(seed);
  using models = new FakeModels();
  await using data = await TempDir.make();
  // More than are in flight at once, so that none of the kills comes behind the last line.
  const [lines, killsMax] = isLong ? [5_000, 5] : [1_500, 2];
  const inputs = Array.from({ length: lines }, (_, at) => `${sentences[at % 24]} ${at}`);
  const head = { task: "translate", model: "en-zh", beams: 1 };
  const flags = ["--models", models.dir, "--pipelines", "1", "--threads", "1"];
  const serve = (): ServeProcess => new ServeProcess(serveFake, ...flags, "--data", data.path);
  let id = "";
  {
    await using server = serve();
    const url = await server.url();
    // In the middle of an upload: nothing of it is there afterwards.
    const cut = new AbortController();
    const body = new ReadableStream({
      start: (controller) => {
        controller.enqueue(Buffer.from(`${JSON.stringify(head)}\n${'"never"\n'.repeat(20_000)}`));
      },
    });
    const sending = { method: "POST", body, duplex: "half", signal: cut.signal } as const;
    const headers = { "content-type": "application/x-ndjson" };
    const cutOff = fetch(`${url}/v1/jobs`, { ...sending, headers }).catch(() => null);
    id = await submit(url, head, inputs);
    await killTree(server);
    assert.equal(await cutOff, null, "an upload that was cut off");
  }
  const killedAt: number[] = [];
  for (let kills = 1; kills < killsMax; kills += 1) {
    await using server = serve();
    const url = await server.url();
    const before = (await statusOf(url, id)).succeeded;
    const more = 1 + Math.floor((random.next() * (lines - before)) / 3);
    await until(async () => (await statusOf(url, id)).succeeded >= before + more);
    await killTree(server);
    killedAt.push(before + more);
  }
  await using server = serve();
  const url = await server.url();
  const { state, succeeded, failed } = await completed(url, id);
  assert.deepEqual([state, succeeded, failed], ["completed", lines, 0], `seed ${seed}`);
  const results = await resultsOf(url, id);
  const undisturbed = await submit(url, head, inputs);
  await completed(url, undisturbed);
  assert.deepEqual(results, await resultsOf(url, undisturbed), `seed ${seed}`);
  assert.deepEqual(results.map(lineOf), [...inputs.keys()]);
  const list = (await (await fetch(`${url}/v1/jobs`)).json()) as { jobs: JobStatus[] };
  assert.equal(list.jobs.length, 2, "the upload that was cut off is no job");
});
