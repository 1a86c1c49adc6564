import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";
import type { Worker } from "node:worker_threads";
import { ModelRegistry } from "#src/models/registry.js";
import { type ThreadJob, TokenizerThread } from "#src/prepare/tokenizer-thread.js";
import { manifestOf, writeModelFolder } from "../support/model-folder.js";
import { sharedPath, skipWithout } from "../support/shared-data.js";
import { TempDir } from "../support/temp-dir.js";

const never = new AbortController().signal;
const skip = skipWithout("models", "en-zh", "tokenizer.json");

async function openThread(dir: TempDir, tokenizer: string, jobsMax = 4): Promise<TokenizerThread> {
  const contents = { "tokenizer.json": tokenizer };
  await writeModelFolder(dir.path, manifestOf("en-zh", contents), contents);
  const registry = await ModelRegistry.open(dir.path);
  return new TokenizerThread(registry.list(), jobsMax);
}

async function realTokenizer(): Promise<string> {
  return await readFile(sharedPath("models", "en-zh", "tokenizer.json"), "utf8");
}

function job(texts: readonly string[]): ThreadJob {
  const limits = { inputTokensMax: 128, itemCharactersMax: 1e9 };
  return {
    model: "en-zh",
    texts,
    settings: { split: true, truncate: false, firstIndex: 0, ...limits },
  };
}

/** Ends the next threads that start, as if each had died; returns how many it has ended. */
function killThreads(count: number): { killed: number } & Disposable {
  const onWorker = (worker: Worker) => {
    if (killer.killed === count) return;
    killer.killed += 1;
    worker.once("online", () => void worker.terminate());
  };
  process.on("worker", onWorker);
  const killer = { killed: 0, [Symbol.dispose]: () => void process.off("worker", onWorker) };
  return killer;
}

test("jobs of a thread that died begin again in a new one", { skip }, async () => {
  await using dir = await TempDir.make();
  await using thread = await openThread(dir, await realTokenizer());
  using killer = killThreads(1);
  const works = [thread.run(job(["One. Two."]), never), thread.run(job(["Three."]), never)];
  const counts = (await Promise.all(works)).map(([text]) => text?.ok && text.pieces.length);
  assert.deepEqual(counts, [2, 1]);
  assert.equal(killer.killed, 1);
  assert.equal(thread.runningJobs, 0);
});

test("a job under which the thread dies twice fails, and the next one is served", {
  skip,
}, async () => {
  await using dir = await TempDir.make();
  await using thread = await openThread(dir, await realTokenizer());
  using killer = killThreads(2);
  await assert.rejects(thread.run(job(["One."]), never), { code: "worker_lost" });
  assert.equal(killer.killed, 2);
  const [text] = await thread.run(job(["One."]), never);
  assert.equal(text?.ok, true);
});

test("a thread that cannot start says why", async () => {
  await using dir = await TempDir.make();
  await using thread = await openThread(dir, "{}");
  await assert.rejects(thread.run(job(["One."]), never), {
    code: "worker_lost",
    message: /tokenizer\.json/,
  });
});

test("jobs over the bound are refused, and a place is free again on every way out", {
  skip,
}, async () => {
  await using dir = await TempDir.make();
  await using thread = await openThread(dir, await realTokenizer(), 1);
  const left = new AbortController();
  const first = thread.run(job(["A sentence. ".repeat(10_000)]), left.signal);
  await assert.rejects(thread.run(job(["x"]), never), { code: "queue_full" });
  left.abort();
  await assert.rejects(first, { name: "AbortError" });
  await assert.rejects(thread.run(job(["x"]), left.signal), { name: "AbortError" });
  const [text] = await thread.run(job(["x"]), never);
  assert.equal(text?.ok, true);
  assert.equal(thread.runningJobs, 0);
});

test("closing fails what is in work and refuses what comes later", { skip }, async () => {
  await using dir = await TempDir.make();
  await using thread = await openThread(dir, await realTokenizer());
  const work = assert.rejects(thread.run(job(["x"]), never), { code: "draining" });
  await thread.close();
  await work;
  await assert.rejects(thread.run(job(["x"]), never), { code: "draining" });
});
