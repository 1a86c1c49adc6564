/** Many models on few real processes: switched, killed while they load, added, changed and taken away. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import type { ModelsResponse, WireError } from "millrace-client/wire";
import type { ModelManifest } from "#src/models/manifest.js";
import { copyModel, writeManifest } from "../support/model-copies.js";
import {
  getReady,
  getStatus,
  outcomeOf,
  post,
  startReal,
  translate,
  until,
} from "../support/real-server.js";
import { TempDir } from "../support/temp-dir.js";

const limit = { timeout: 60_000 };
const text = "Good morning.";

const names = Array.from({ length: 12 }, (_, at) => `m${String(at + 1).padStart(2, "0")}`);
/** Room for three: each is expected to take some 16 MB. */
const roomForThree = { modelMemoryBytes: 52_000_000, pipelines: 1 };

test("twelve models of which three fit: each is served when it is asked for", limit, async () => {
  await using dir = await TempDir.make();
  for (const name of names) await copyModel(dir.file(name), name);
  await using server = await startReal({ models: dir.path, ...roomForThree });
  const answers = new Set<string>();
  for (const name of names) {
    const { results, pipelines } = await translate(server.url, { texts: text, model: name });
    answers.add(results.map(outcomeOf).join());
    assert.deepEqual(Object.keys(pipelines), ["shared-1"]);
    const { models } = await getStatus(server.url);
    assert.ok(models.filter(({ state }) => state === "resident").length <= 3);
  }
  assert.equal(answers.size, 1);
  const { models, pipelines } = await getStatus(server.url);
  assert.equal(pipelines[0]?.restarts, 0);
  const loads = models.reduce((sum, each) => sum + each.loads, 0);
  assert.ok(loads >= 12 && loads <= 15, `${loads} loads for 12 requests`);
  assert.ok(models.every(({ reason }) => reason === null));
});

test(
  "a process that is killed while it loads: who waits is served by the next",
  limit,
  async () => {
    await using dir = await TempDir.make();
    for (const name of ["a", "b"]) await copyModel(dir.file(name), name);
    const options = { models: dir.path, pipelines: 1, preload: "none" };
    await using server = await startReal(options);
    const asked = translate(server.url, { texts: text, model: "b" });
    const pid = await Promise.race([
      until(async () => {
        const [pipeline] = (await getStatus(server.url)).pipelines;
        return pipeline?.models.some(({ state }) => state === "loading") === true && pipeline.pid;
      }),
      asked.then(() => null),
    ]);
    if (pid !== null) process.kill(pid, "SIGKILL");
    assert.equal((await asked).results.length, 1);
    assert.equal((await translate(server.url, { texts: text, model: "a" })).results.length, 1);
  },
);

test("folders come, change, break and go while the server serves", limit, async () => {
  await using dir = await TempDir.make();
  await copyModel(dir.file("a"), "a");
  await using server = await startReal({ models: dir.path, pipelines: 1, modelsWatchMs: 0 });
  const { url } = server;
  const reload = async (): Promise<unknown> => {
    const reply = await fetch(`${url}/v1/models/reload`, { method: "POST" });
    assert.equal(reply.status, 200);
    const { added, changed, removed, broken } = (await reply.json()) as Record<string, unknown[]>;
    return { added, changed, removed, broken: broken?.length };
  };
  const nothing = { added: [], changed: [], removed: [], broken: 0 };
  assert.deepEqual(await reload(), nothing);

  await copyModel(dir.file("b"), "b");
  await mkdir(dir.file("c"));
  await writeFile(join(dir.file("c"), "millrace.json"), "{");
  assert.deepEqual(await reload(), { ...nothing, added: ["b"], broken: 1 });
  assert.equal((await translate(url, { texts: text, model: "b" })).results.length, 1);
  const degraded = await getReady(url);
  assert.deepEqual([degraded.status, degraded.body.state], [200, "degraded"]);

  // A version of three tokens at most: the same name, another answer.
  const before = (await translate(url, { texts: text, model: "a" })).results.map(outcomeOf);
  await rm(dir.file("a"), { recursive: true });
  await copyModel(dir.file("a"), "a", { maxLength: 3 });
  assert.deepEqual(await reload(), { ...nothing, changed: ["a"], broken: 1 });
  await until(async () => {
    const { results } = await translate(url, { texts: text, model: "a" });
    return results.map(outcomeOf).join() !== before.join();
  });
  const status = await until(async () => {
    const now = await getStatus(url);
    return now.pipelines.every(({ models }) => models.length === 2) && now;
  });
  assert.deepEqual(status.models.map(({ model }) => model).toSorted(), ["a", "b"]);

  await rm(dir.file("b"), { recursive: true });
  await rm(dir.file("c"), { recursive: true });
  assert.deepEqual(await reload(), { ...nothing, removed: ["b"] });
  const gone = await post(url, { texts: text, model: "b" });
  assert.equal(gone.status, 404);
  assert.equal((await getStatus(url)).pipelines[0]?.restarts, 0);
});

test(
  "a new version that breaks takes nothing over, and the watch finds the next one",
  limit,
  async () => {
    await using dir = await TempDir.make();
    await copyModel(dir.file("a"), "a");
    await using server = await startReal({ models: dir.path, pipelines: 1, modelsWatchMs: 50 });
    const { url } = server;
    const manifest = await readFile(join(dir.file("a"), "millrace.json"), "utf8");
    await writeManifest(dir.file("a"), {});
    await until(async () => (await getReady(url)).body.state === "degraded");
    assert.equal((await translate(url, { texts: text, model: "a" })).results.length, 1);
    await writeManifest(dir.file("a"), JSON.parse(manifest) as object);
    await until(async () => (await getReady(url)).body.state === "ready");
    assert.equal((await translate(url, { texts: text, model: "a" })).results.length, 1);
  },
);

async function refusal(url: string, model: string): Promise<unknown[]> {
  const reply = await post(url, { texts: text, model });
  const { error } = (await reply.json()) as { readonly error: WireError };
  return [reply.status, error.code, error.retryable];
}

test(
  "defect: a folder that cannot be loaded refuses its callers at once, until a reload",
  limit,
  async () => {
    await using dir = await TempDir.make();
    await copyModel(dir.file("a"), "a");
    await copyModel(dir.file("b"), "b");
    const manifestOf = async (): Promise<ModelManifest> =>
      JSON.parse(await readFile(join(dir.file("b"), "millrace.json"), "utf8")) as ModelManifest;
    const whole = await manifestOf();
    const { fileSha256, files } = whole;
    const graph = "encoder" in files ? files.encoder : "";
    const spoilt = Buffer.from("no graph");
    await rm(join(dir.file("b"), graph));
    await writeFile(join(dir.file("b"), graph), spoilt);
    const sha256 = createHash("sha256").update(spoilt).digest("hex");
    await writeManifest(dir.file("b"), {
      ...whole,
      fileSha256: { ...fileSha256, [graph]: sha256 },
    });
    // One try: the next one would be a minute later.
    const slow = { restartBackoffMs: 60_000, preload: "none", pipelines: 1, modelsWatchMs: 0 };
    await using server = await startReal({ models: dir.path, ...slow });
    const { url } = server;
    for (let asked = 0; asked < 2; asked += 1) {
      assert.deepEqual(await refusal(url, "b"), [500, "model_folder_invalid", false]);
    }
    assert.equal((await translate(url, { texts: text, model: "a" })).results.length, 1);
    await rm(dir.file("b"), { recursive: true });
    await copyModel(dir.file("b"), "b");
    await fetch(`${url}/v1/models/reload`, { method: "POST" });
    assert.equal((await translate(url, { texts: text, model: "b" })).results.length, 1);
  },
);

test(
  "defect: a model that no pipeline has room for is said to be too large, and not to come again",
  limit,
  async () => {
    await using dir = await TempDir.make();
    for (const name of ["a", "b"]) await copyModel(dir.file(name), name);
    const room = { modelMemoryBytes: 15_000_000, preload: "b", pipelines: 1 };
    await using server = await startReal({ models: dir.path, ...room });
    const { models } = (await (await fetch(`${server.url}/v1/models`)).json()) as ModelsResponse;
    const found = models.find(({ name }) => name === "a");
    assert.deepEqual([found?.ready, found?.state], [false, "too-large"]);
    assert.match(
      found?.reason ?? "",
      /takes \d+ bytes.* a pipeline has \d+ .*--model-memory-bytes/,
    );
    assert.deepEqual(await refusal(server.url, "a"), [507, "model_too_large", false]);
    assert.equal((await translate(server.url, { texts: text, model: "b" })).results.length, 1);
  },
);
