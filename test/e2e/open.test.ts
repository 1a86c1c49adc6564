/** The embedded form, with the bundled model and real workers: the client's methods without a port, and nothing left behind. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, test } from "node:test";
import { Millrace, MillraceError } from "millrace-client";
import { type EmbeddedMillrace, open } from "#src/index.js";
import { finish } from "../support/finish.js";
import { isRunning } from "../support/processes.js";
import { bundledModels, sentences, startReal, texts, until } from "../support/real-server.js";

const small = { models: bundledModels, pipelines: 1, threads: 1 } as const;

let millrace: EmbeddedMillrace;
before(async () => {
  millrace = await open(small);
});
after(() => millrace.close());

test("what it gives is what a server with the same models gives", async () => {
  await using server = await startReal({ pipelines: 1 });
  await using client = new Millrace(server.url);
  const mine = await millrace.translate(sentences);
  assert.deepEqual(mine.results, (await client.translate(sentences)).results);
  const [own, others] = await Promise.all([millrace.embed(sentences), client.embed(sentences)]);
  assert.deepEqual(own.results, others.results);
  assert.equal(mine.deployment?.name, "millrace");
});

test("streams, sources of any length, status, and errors of a server are as the client has them", async () => {
  const seen: number[] = [];
  for await (const { index } of millrace.translateStream(texts(20))) seen.push(index);
  assert.deepEqual(
    seen.toSorted((a, b) => a - b),
    [...Array(20).keys()],
  );
  const count = 1_200;
  let at = 0;
  for await (const outcome of millrace.embedEach(texts(count))) {
    assert.ok("embedding" in outcome && outcome.index === at);
    at += 1;
  }
  assert.equal(at, count);
  const { pipelines } = await millrace.status();
  assert.equal(pipelines.length, 1);
  assert.equal((await millrace.models()).models.length, 2);
  const noModel = { code: "model_not_found" };
  await assert.rejects(millrace.classify("a"), noModel);
  await assert.rejects(millrace.ocr([new Uint8Array([1])]), MillraceError);
  const input = { data: Float32Array.of(1), shape: [1] };
  await assert.rejects(millrace.infer({ model: "none", inputs: { input } }), noModel);
  await assert.rejects(millrace.jobs.list(), MillraceError);
});

async function queued(): Promise<number> {
  const { queues } = await millrace.status();
  return queues.reduce((sum, { items }) => sum + items, 0);
}

test("a caller who leaves, by a signal or in a loop, ends the work and nothing else", async () => {
  const stop = new AbortController();
  const leaving = millrace.translate(texts(400), { signal: stop.signal });
  await until(async () => (await queued()) > 0);
  stop.abort();
  await assert.rejects(leaving, { code: "cancelled" });
  for await (const _ of millrace.translateStream(texts(50))) break;
  await until(async () => (await queued()) === 0);
  assert.equal((await millrace.translate("Good morning.")).results.length, 1);
});

test("options of ports are refused, and an opening that is aborted leaves nothing", async () => {
  const given = { ...small, port: 0 };
  await assert.rejects(open(given), { code: "option_invalid", message: /^port: / });
  await assert.rejects(open({ ...small, models: "/none" }), { code: "model_folder_invalid" });
  const reason = new Error("no more");
  await assert.rejects(open({ ...small, signal: AbortSignal.abort(reason) }), reason);
});

test("two at once are strangers; a second close waits for the first; then calls are refused", async () => {
  const other = await open(small);
  const pids = (await other.status()).pipelines.map(({ pid }) => pid ?? 0);
  const pending = other.translate(texts(100));
  const refused = assert.rejects(pending, { code: "cancelled" });
  await Promise.all([other.close(), other.close(), refused]);
  assert.ok(pids.length === 1 && pids.every((pid) => pid > 0 && !isRunning(pid)));
  await assert.rejects(other.translate("a"), { code: "cancelled" });
  assert.equal((await millrace.translate("a")).results.length, 1);
});

test("a process that exits without disposing leaves no worker", async () => {
  const program = `
    import { open } from ${JSON.stringify(import.meta.resolve("#src/index.js"))};
    const millrace = await open(${JSON.stringify(small)});
    const { pipelines } = await millrace.status();
    console.log(pipelines[0].pid);
    process.exit(7);`;
  const child = spawn(process.execPath, ["--input-type=module", "-e", program]);
  const { out, err, code } = await finish(child);
  assert.deepEqual([code, err], [7, ""]);
  assert.ok(Number(out) > 0);
  await until(() => !isRunning(Number(out)));
});
