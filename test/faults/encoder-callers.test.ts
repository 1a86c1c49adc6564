/** Encoders under load: a worker that is killed, callers who leave. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { EmbedOutcome, EmbedResponse, StatusResponse } from "millrace-client/wire";
import { createServer, type MillraceServer } from "#src/index.js";
import { writeMadeEncoder } from "../support/made-encoder.js";
import { assertIdle, getStatus, until } from "../support/real-server.js";
import { TempDir } from "../support/temp-dir.js";

const limit = { timeout: 60_000 };
let temp: TempDir;
let server: MillraceServer;

before(async () => {
  temp = await TempDir.make();
  // Each token takes some milliseconds in thousandths: a request of thousands can be caught in its midst.
  await writeMadeEncoder(temp.file("slow"), { work: 5 });
  server = await createServer({
    models: temp.path,
    port: 0,
    pipelines: 1,
    threads: 1,
    logLevel: "silent",
    restartBackoffMs: 10,
  });
});

after(async () => {
  await server.close();
  await temp[Symbol.asyncDispose]();
});

const inputs = Array.from({ length: 1_500 }, (_, index) => `hello ${"a b ".repeat(index % 12)}`);

function post(texts: readonly string[], signal?: AbortSignal): Promise<Response> {
  return fetch(`${server.url}/v1/embed`, {
    method: "POST",
    headers: { "content-type": "application/json", accept: "application/x-ndjson" },
    body: JSON.stringify({ texts, class: "bulk" }),
    ...(signal === undefined ? {} : { signal }),
  });
}

async function embed(texts: readonly string[]): Promise<readonly EmbedOutcome[]> {
  const response = await fetch(`${server.url}/v1/embed`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ texts }),
  });
  return ((await response.json()) as EmbedResponse).results;
}

function rowsOf({ stages }: StatusResponse): number {
  return stages.find(({ stage }) => stage === "encode")?.rows ?? 0;
}

function isHolding({ pipelines }: StatusResponse): boolean {
  return pipelines.some(({ items }) => items.inFlight > 0);
}

test("a worker that is killed in the midst of its work loses nothing", limit, async () => {
  const reply = post(inputs);
  const victim = await until(async () => {
    const [pipeline] = (await getStatus(server.url)).pipelines;
    return pipeline?.doing != null && pipeline.pid;
  });
  process.kill(Number(victim), "SIGKILL");
  const lines = (await (await reply).text()).split("\n").filter((line) => line !== "");
  const outcomes = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.ok("done" in (outcomes.at(-1) ?? {}));
  const indexes = outcomes.slice(0, -1).map((outcome) => Number(outcome["index"]));
  assert.deepEqual(
    indexes.toSorted((a, b) => a - b),
    inputs.map((_, index) => index),
  );
  assert.ok(outcomes.slice(0, -1).every((outcome) => "embedding" in outcome));
  const status = await getStatus(server.url);
  assert.ok(status.items.retried > 0, "what it held was tried again");
  const restarts = status.pipelines.reduce((sum, pipeline) => sum + pipeline.restarts, 0);
  assert.equal(restarts, 1, "no other worker ended");
  assertIdle(status);
});

/**
 * With the rows of everything that ended before the call, and of at most the last text after it: a pipeline reports what it measured
 * when it idles, after the last result, so that two texts one after the other leave nothing before them untold.
 */
async function reported(): Promise<StatusResponse> {
  for (let turn = 0; turn < 2; turn += 1) await embed(["hello"]);
  return await getStatus(server.url);
}

test("a caller who leaves in the midst costs no further run", limit, async () => {
  const before = await reported();
  const caller = new AbortController();
  const response = await post(inputs, caller.signal);
  const reader = response.body?.getReader();
  await reader?.read();
  caller.abort();
  await assert.rejects(async () => {
    while ((await reader?.read())?.done === false);
  });
  const left = await until(async () => {
    const now = await getStatus(server.url);
    return now.requests.active === 0 && !isHolding(now) && now;
  });
  assertIdle(left);
  const cancelled = left.items.cancelled - before.items.cancelled;
  assert.ok(cancelled > inputs.length / 2, `${cancelled} cancelled`);
  // The server has heard of it: what was done for the caller is counted, and will not be more.
  const done = left.items.done - before.items.done;
  const worked = rowsOf(await reported()) - rowsOf(before);
  // Beside those, what a pipeline had in a run and for the next one; the last text before, and the two after it.
  assert.ok(worked <= done + 2 * 64 + 3, `${worked} rows were run, ${done} were waited for`);
});
