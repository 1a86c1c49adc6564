/** What can go wrong around the load of a model: a cache that takes nothing, a graph that kills, a kill at the wrong moment, an end. */
import assert from "node:assert/strict";
import { existsSync, readdirSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { openBackend } from "#src/backend/local-backend.js";
import { exitCodes } from "#src/cli/exit-codes.js";
import { createLog } from "#src/log.js";
import { resolveConfiguration } from "#src/options/resolve.js";
import { type MillraceServer, startServer } from "#src/server.js";
import { writeMadeEncoder } from "../support/made-encoder.js";
import { childrenOf, isRunning, listeningPortOf } from "../support/processes.js";
import {
  bundledModels,
  getReady,
  getStatus,
  pidsOf,
  startReal,
  translate,
  until,
} from "../support/real-server.js";
import { millrace, ServeProcess } from "../support/serve-process.js";
import { TempDir } from "../support/temp-dir.js";

const limit = { timeout: 60_000 };

/** Processes that are started from now on load this first. */
function preload(script: string): Disposable {
  const before = process.env["NODE_OPTIONS"];
  process.env["NODE_OPTIONS"] = `--import=${new URL(script, import.meta.url).href}`;
  return {
    [Symbol.dispose]: () => {
      if (before === undefined) delete process.env["NODE_OPTIONS"];
      else process.env["NODE_OPTIONS"] = before;
    },
  };
}

/** Its workers are the real ones, and die of what is in a folder named `crash`. */
async function startCrashing(models: string): Promise<MillraceServer> {
  const code = { models, port: 0, pipelines: 2, threads: 1, restartBackoffMs: 10 } as const;
  const configuration = resolveConfiguration({ code: { ...code, logLevel: "silent" } });
  const workerEntry = fileURLToPath(new URL("../support/crash-entry.js", import.meta.url));
  return await startServer(configuration, {
    log: createLog({ ...configuration.options, destination: process.stdout }),
    openBackend: (parts) => openBackend({ ...parts, workerEntry }),
  });
}

async function embed(url: string, model: string): Promise<number> {
  const response = await fetch(`${url}/v1/embed`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ model, texts: ["hello world"] }),
  });
  await response.text();
  return response.status;
}

// ── The cache folder ────────────────────────────────────────────────────────────────────────────────────────────

test(
  "where the cache folder takes nothing, the server serves, and says so once for each graph",
  limit,
  async () => {
    await using dir = await TempDir.make();
    await writeFile(dir.file("file"), "");
    const flags = ["--models", bundledModels, "--pipelines", "1", "--threads", "1"];
    const cacheDir = dir.file("file", "cache");
    await using serve = new ServeProcess(millrace, ...flags, "--cache-dir", cacheDir);
    const lines: Record<string, unknown>[] = [];
    const url = String((await serve.logged("ready", (line) => void lines.push(line)))["http"]);
    for (let round = 0; round < 2; round += 1)
      assert.equal((await translate(url, { texts: "Good morning." })).results.length, 1);
    // It may not be loaded yet.
    assert.equal(await embed(url, "en-zh-embeddings"), 200);
    serve.child.kill("SIGTERM");
    await serve.logged("stopped", (line) => void lines.push(line));
    assert.deepEqual(await serve.exited, [exitCodes.ok, null]);
    const said = lines.map(({ msg }) => String(msg)).filter((line) => line.includes("ENOTDIR"));
    assert.equal(said.length, 3, said.join("\n"));
    assert.deepEqual(
      new Set(said.map((line) => /^(\S+): its weights are not shared: /.exec(line)?.[1])),
      new Set(["decoder.onnx", "embeddings.onnx", "encoder.onnx"]),
      said.join("\n"),
    );
  },
);

// ── A graph that kills ──────────────────────────────────────────────────────────────────────────────────────────

test(
  "a graph that aborts its process at the load is named with the reason, and the others serve",
  limit,
  async () => {
    await using dir = await TempDir.make();
    for (const name of ["crash", "good"]) await writeMadeEncoder(dir.file("models", name));
    await using server = await startCrashing(dir.file("models"));
    const { url } = server;
    const failed = await until(async () => {
      const { models } = await getStatus(url);
      return models.find(({ model, state }) => model === "crash" && state === "failed") ?? null;
    });
    assert.match(failed.reason ?? "", /SIGABRT/);
    const isUp = async (): Promise<void> => {
      await until(async () => {
        const { status, body } = await getReady(url);
        return status === 200 && body.state === "degraded";
      });
    };
    // The only process ended with the load: callers are refused until the next one is there.
    await isUp();
    for (let round = 0; round < 5; round += 1) assert.equal(await embed(url, "good"), 200);
    const answer = await embed(url, "crash");
    assert.ok(answer === 503 || answer === 500, `${answer}`);
    // What the second try took down comes up again.
    await isUp();
    assert.equal(await embed(url, "good"), 200);
  },
);

// ── Kills and ends at the wrong moment ──────────────────────────────────────────────────────────────────────────

test(
  "a kill in the midst of an unload: the next process loads what was asked for",
  limit,
  async () => {
    await using dir = await TempDir.make();
    for (const name of ["one", "other"]) await writeMadeEncoder(dir.file("models", name));
    // Room for one of them.
    const options = { pipelines: 1, preload: "none", modelMemoryBytes: 3 * 1024 * 1024 };
    await using server = await startReal({ models: dir.file("models"), ...options });
    const { url } = server;
    assert.equal(await embed(url, "one"), 200);
    const [pid = 0] = pidsOf(await getStatus(url));
    // It hears of the unload and does nothing about it any more.
    process.kill(pid, "SIGSTOP");
    const asked = embed(url, "other");
    await until(async () => {
      const [pipeline] = (await getStatus(url)).pipelines;
      return (
        pipeline?.models.some(({ model, state }) => model === "one" && state === "leaving") === true
      );
    });
    process.kill(pid, "SIGKILL");
    assert.equal(await asked, 200);
    assert.equal(await embed(url, "one"), 200);
    const { pipelines, items } = await getStatus(url);
    assert.equal(pipelines[0]?.restarts, 1);
    assert.equal(pipelines[0]?.models.length, 1);
    assert.equal(items.failed, 0);
  },
);

test(
  "Ctrl-C during the trial of the start leaves no process and no half of a result",
  limit,
  async (t) => {
    if (availableParallelism() < 2) return t.diagnostic("there is nothing to try on one core");
    await using dir = await TempDir.make();
    const flags = ["--models", bundledModels, "--trial", "auto", "--cache-dir", dir.file("cache")];
    using _ = preload("../support/idle-machine.js");
    await using serve = new ServeProcess(millrace, ...flags);
    await serve.logged("measuring pipelines and threads");
    const workers = await until(() => {
      const pids = childrenOf(serve.pid);
      return pids.length > 0 && pids;
    });
    serve.child.kill("SIGINT");
    await serve.logged("stopped before it was ready");
    assert.deepEqual(await serve.exited, [exitCodes.ok, null]);
    assert.deepEqual(workers.filter(isRunning), []);
    const kept = dir.file("cache", "trials-v1");
    assert.deepEqual(existsSync(kept) ? readdirSync(kept) : [], []);
  },
);

test(
  "SIGTERM in the midst of a load of seconds ends the start, and nothing is left",
  limit,
  async () => {
    await using dir = await TempDir.make();
    // Thousands of products: what ONNX Runtime does for each takes its time.
    await writeMadeEncoder(dir.file("models", "large"), { work: 3_000 });
    const flags = ["--models", dir.file("models"), "--pipelines", "1", "--threads", "1"];
    await using serve = new ServeProcess(millrace, ...flags, "--cache-dir", dir.file("cache"));
    await serve.logged("starting");
    // Its log says where it listens when it is ready, which is too late here.
    const port = await until(() => listeningPortOf(serve.pid));
    const worker = await until(async () => {
      const [pipeline] = (await getStatus(`http://127.0.0.1:${port}`)).pipelines;
      return pipeline?.models.some(({ state }) => state === "loading") === true && pipeline.pid;
    });
    serve.child.kill("SIGTERM");
    await serve.logged("stopped before it was ready");
    assert.deepEqual(await serve.exited, [exitCodes.ok, null]);
    assert.ok(!isRunning(worker));
  },
);
