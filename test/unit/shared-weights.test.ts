/** Weights that processes share: the same results, and whatever is wrong with the cache keeps nobody from serving. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import {
  appendFile,
  chmod,
  chown,
  copyFile,
  cp,
  mkdir,
  open,
  readFile,
  truncate,
  utimes,
  writeFile,
} from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { GenerationModel } from "#src/runtime/generation/generation-model.js";
import { sharedHashed } from "#src/runtime/shared-weights.js";
import {
  cachedGraphName,
  cachedWeightsName,
  entryDir,
  findEntry,
  isLocked,
  lockEntry,
  noteFailure,
  pruneEntries,
  publishEntry,
  recentFailure,
  removeUnfinished,
  type WeightsCache,
  weightsCacheArguments,
  weightsCacheFrom,
} from "#src/runtime/weights-cache.js";
import { bundledModelDir, translateAll } from "../support/engine.js";
import { readGeneration } from "../support/read-generation.js";
import { until } from "../support/real-server.js";
import { TempDir } from "../support/temp-dir.js";

const sentence = [65, 90, 128, 82, 0];

function cacheIn(dir: string, bytesMax = 2 ** 30, makeMsMax = 60_000): WeightsCache {
  return { dir, bytesMax, makeMsMax };
}

/** `meanwhile`: after the folder was looked at, and before anything of it is read. */
async function openBundled(
  cache: WeightsCache | null,
  dir = bundledModelDir,
  meanwhile = async (): Promise<void> => {},
): Promise<GenerationModel> {
  const manifest = await readGeneration(dir);
  const { files, fileSha256 } = manifest;
  const of = { dir, weights: files.weights, fileSha256 };
  const encoder = await sharedHashed(cache, { ...of, graph: files.encoder });
  const decoder = await sharedHashed(cache, { ...of, graph: files.decoder });
  const shared = encoder === null || decoder === null ? null : { encoder, decoder };
  const paths = { encoder: join(dir, files.encoder), decoder: join(dir, files.decoder) };
  await meanwhile();
  const options = { threads: 1, spin: false, data: [files.weights], shared };
  return await GenerationModel.load(paths, manifest, options);
}

/** A folder of its own, and what another version of its weights could be: of the same shapes. */
async function ownFolder(
  dir: string,
): Promise<{ weights: string; own: Buffer; other: Uint8Array }> {
  await cp(bundledModelDir, dir, { recursive: true });
  const weights = join(dir, (await readGeneration(dir)).files.weights);
  const own = await readFile(weights);
  return { weights, own, other: own.map((byte, at) => (at % 97 === 0 ? byte ^ 1 : byte)) };
}

/** Ids and scores, to the bit. */
async function resultsOf(model: GenerationModel): Promise<string> {
  const results = await translateAll(model, [
    { tokenIds: sentence },
    { tokenIds: sentence.slice(2), settings: { beams: 4, nBest: 2 } },
  ]);
  await model.release();
  return JSON.stringify(results);
}

const mapped = (dir: string): number =>
  readFileSync("/proc/self/maps", "latin1")
    .split("\n")
    .filter((line) => line.includes(dir)).length;

function entriesOf(cache: WeightsCache): string[] {
  return readdirSync(join(cache.dir, "weights-v1")).sort();
}

test("shared weights are mapped from files, give the same bits, and are made once by those who start together", async () => {
  await using temp = await TempDir.make();
  const cache = cacheIn(temp.file("cache"));
  const alone = await resultsOf(await openBundled(null));
  const models = await Promise.all([openBundled(cache), openBundled(cache)]);
  if (process.platform === "linux") assert.ok(mapped(temp.path) >= 4, "nothing is mapped");
  for (const model of models) assert.equal(await resultsOf(model), alone);
  const entries = entriesOf(cache);
  assert.equal(entries.length, 2, entries.join());
  assert.ok(entries.every((name) => /^[0-9a-f]{32}$/.test(name)));

  // Damaged: made anew. The time is what tells.
  const [entry = ""] = entries;
  const weights = join(cache.dir, "weights-v1", entry, cachedWeightsName);
  await truncate(weights, 4096);
  assert.equal(await resultsOf(await openBundled(cache)), alone);
  assert.ok(statSync(weights).size > 4096);
});

test("where nothing can be kept, or it is too large, or was not possible lately, a model has a copy of its own", async () => {
  await using temp = await TempDir.make();
  await writeFile(temp.file("file"), "");
  const tooLarge = cacheIn(temp.file("small"), 1024 * 1024);
  for (const cache of [cacheIn(temp.file("file", "cache")), tooLarge]) {
    await (await openBundled(cache)).release();
    assert.ok(!existsSync(cache.dir));
  }
  const dir = temp.file("entry");
  assert.equal(await recentFailure(dir), null);
  await noteFailure(dir, "no room");
  assert.equal(await recentFailure(dir), "no room");
  const longAgo = new Date(Date.now() - 2 * 3_600_000);
  await utimes(`${dir}.failed`, longAgo, longAgo);
  assert.equal(await recentFailure(dir), null);
});

async function madeEntry(dir: string, bytes = 10): Promise<void> {
  const published = await publishEntry(dir, async (newDir) => {
    await writeFile(join(newDir, cachedGraphName), "graph");
    await writeFile(join(newDir, cachedWeightsName), Buffer.alloc(bytes, 7));
  });
  assert.ok(published);
}

test("an entry is what was written, or it is none", async () => {
  await using temp = await TempDir.make();
  const dir = entryDir(cacheIn(temp.path), ["a"]);
  const graph = join(dir, cachedGraphName);
  const weights = join(dir, cachedWeightsName);
  const write = async (path: string, bytes: Uint8Array): Promise<void> => {
    const handle = await open(path, "r+");
    await handle.write(bytes, 0);
    await handle.close();
  };
  await mkdir(temp.path, { recursive: true });
  const damages: Readonly<Record<string, () => Promise<void>>> = {
    "a byte more": () => appendFile(weights, "x"),
    "another byte": () => write(weights, Buffer.from("x")),
    "no file": () => copyFile(weights, `${weights}2`).then(() => truncate(weights, 0)),
    "another graph": () => write(graph, Buffer.from("G")),
  };
  for (const [name, damage] of Object.entries(damages)) {
    await madeEntry(dir);
    assert.equal(await findEntry(dir), graph);
    await damage();
    assert.equal(await findEntry(dir), null, name);
    assert.ok(!existsSync(dir), name);
  }
  // A copy has other times, and the same bytes.
  await madeEntry(dir);
  await utimes(weights, new Date(0), new Date(0));
  assert.equal(await findEntry(dir), graph);
  // Whoever comes second leaves what is there.
  assert.equal(
    await publishEntry(dir, async (newDir) => {
      await writeFile(join(newDir, cachedGraphName), "other");
      await writeFile(join(newDir, cachedWeightsName), "other");
    }),
    false,
  );
  assert.equal(readFileSync(graph, "utf8"), "graph");
  for (const lie of ["", "[1]", '{"graph.onnx": {"bytes": "5"}}', "{}"]) {
    await writeFile(join(dir, "made.json"), lie);
    assert.equal(await findEntry(dir), null, lie);
  }
});

test("defect: an entry that another user may have put there is not believed", {
  skip: process.getuid === undefined && "files have no owner",
}, async () => {
  await using temp = await TempDir.make();
  const cache = cacheIn(temp.path);
  const dir = entryDir(cache, ["a"]);
  await mkdir(join(dir, ".."), { recursive: true });
  await madeEntry(dir);
  await chmod(join(dir, ".."), 0o777);
  await assert.rejects(findEntry(dir), /can be written by every user/);
  // As some volumes of containers are.
  await chmod(join(dir, ".."), 0o2770);
  assert.equal(await findEntry(dir), join(dir, cachedGraphName));
  if (process.getuid?.() !== 0) return;
  await chown(join(dir, ".."), 12_345, 0);
  await assert.rejects(findEntry(dir), /another user's/);
});

test("defect: what processes that were killed had begun goes when it is begun again, not an hour after one is done", async () => {
  await using temp = await TempDir.make();
  const cache = cacheIn(temp.path);
  const [a, b] = [entryDir(cache, ["a"]), entryDir(cache, ["b"])];
  const never = (dir: string): void => {
    void publishEntry(dir, () => new Promise(() => {}));
  };
  never(a);
  never(a);
  never(b);
  while (!existsSync(join(a, "..")) || entriesOf(cache).length < 3)
    await new Promise((resolve) => setImmediate(resolve));
  await removeUnfinished(a);
  assert.equal(entriesOf(cache).length, 1, "another's is left alone");
  await removeUnfinished(b);
  assert.deepEqual(entriesOf(cache), []);
});

test("what was used longest ago goes when the cache is full, and never what was just made", async () => {
  await using temp = await TempDir.make();
  const cache = cacheIn(temp.path, 250);
  const dirs = ["a", "b", "c"].map((part) => entryDir(cache, [part]));
  for (const [index, dir] of dirs.entries()) {
    await madeEntry(dir, 100);
    const usedAt = new Date(Date.now() - (index === 2 ? 9 : index) * 60_000);
    await utimes(join(dir, "made.json"), usedAt, usedAt);
  }
  const leftOver = join(temp.path, "weights-v1", ".new-left");
  await mkdir(leftOver);
  await utimes(leftOver, new Date(0), new Date(0));
  const [a = "", b = "", c = ""] = dirs;
  await pruneEntries(cache, c);
  assert.deepEqual(
    [a, b, c, leftOver].map((dir) => existsSync(dir)),
    [true, false, true, false],
  );
});

test("one lock at a time; one that is older than any making, or of a dead process, is taken away", async () => {
  await using temp = await TempDir.make();
  const cache = cacheIn(temp.path);
  const dir = entryDir(cache, ["a"]);
  {
    await using lock = await lockEntry(dir);
    assert.ok(lock !== null);
    assert.equal(await lockEntry(dir), null);
    assert.ok(await isLocked(dir, cache));
    await utimes(`${dir}.lock`, new Date(0), new Date(0));
    assert.ok(!(await isLocked(dir, cache)));
  }
  assert.ok(!(await isLocked(dir, cache)));
  // Whoever was killed while it was being made holds nobody up.
  const ended = spawnSync(process.execPath, ["--version"]).pid;
  await writeFile(`${dir}.lock`, `${ended} elsewhere`);
  assert.ok(await isLocked(dir, cache));
  await writeFile(`${dir}.lock`, `${ended} ${hostname()}`);
  assert.ok(!(await isLocked(dir, cache)));
  assert.ok(!existsSync(`${dir}.lock`));
});

test("defect: a lock whose process number is another process's by now holds nobody up", {
  skip: process.platform !== "linux" && "nobody else says when a process began",
}, async () => {
  await using temp = await TempDir.make();
  const cache = cacheIn(temp.path);
  const dir = entryDir(cache, ["a"]);
  await using lock = await lockEntry(dir);
  assert.ok(lock !== null && (await isLocked(dir, cache)));
  // As a container leaves it that is killed, and has these numbers again when it starts.
  const text = readFileSync(`${dir}.lock`, "utf8");
  await writeFile(
    `${dir}.lock`,
    text.replace(/\d+$/, (start) => `${Number(start) - 1}`),
  );
  assert.ok(!(await isLocked(dir, cache)));
});

test("defect: a lock of a process that ended and that nobody asks after holds nobody up", {
  skip: process.platform !== "linux" && "nobody else says what state a process is in",
}, async () => {
  await using temp = await TempDir.make();
  const cache = cacheIn(temp.path);
  const dir = entryDir(cache, ["a"]);
  await mkdir(join(dir, ".."), { recursive: true });
  // The parent of what ends is by then a program that knows nothing of it, as the first process of many containers.
  const parent = spawn("sh", ["-c", "sleep 0.2 & echo $!; exec sleep 60"]);
  try {
    const [line] = (await once(parent.stdout, "data")) as [Buffer];
    const pid = Number(String(line));
    await until(() => /\) Z /.test(readFileSync(`/proc/${pid}/stat`, "utf8")));
    await writeFile(`${dir}.lock`, `${pid} ${hostname()}`);
    assert.ok(!(await isLocked(dir, cache)));
  } finally {
    parent.kill("SIGKILL");
  }
});

test("a pipeline's process hears of the cache on its command line, or of none", () => {
  const options = { cacheDir: "/c", weightsCacheBytesMax: 5, startTimeoutMs: 4_000 };
  const args = weightsCacheArguments(options);
  assert.deepEqual(weightsCacheFrom(["node", "entry", ...args]), {
    dir: "/c",
    bytesMax: 5,
    makeMsMax: 1_000,
  });
  assert.deepEqual(weightsCacheArguments({ ...options, weightsCacheBytesMax: 0 }), []);
  assert.equal(weightsCacheFrom(["node", "entry"]), null);
});

test("attack: what is no lock and cannot be taken away ends the wait for it, and is not waited for again", async () => {
  await using temp = await TempDir.make();
  const cache = cacheIn(temp.path, 2 ** 30, 100);
  // Two graphs: the first load makes both entries' names known.
  await (await openBundled(cacheIn(temp.file("names")))).release();
  const names = entriesOf(cacheIn(temp.file("names")));
  const dirs = names.map((name) => join(temp.path, "weights-v1", name));
  for (const dir of dirs) await mkdir(`${dir}.lock`, { recursive: true });
  await (await openBundled(cache)).release();
  for (const dir of dirs) assert.match((await recentFailure(dir)) ?? "", /for too long/);
});

test("defect: an entry is not made of weights that were replaced while it was, under the name of those before", async () => {
  await using temp = await TempDir.make();
  const cache = cacheIn(temp.file("cache"));
  const { weights, own, other } = await ownFolder(temp.file("model"));
  const alone = await resultsOf(await openBundled(null));
  const replaced = await openBundled(cache, temp.file("model"), () => writeFile(weights, other));
  await replaced.release();
  assert.deepEqual(
    entriesOf(cache),
    [],
    "an entry of other weights, or a note that keeps the next from trying",
  );
  // And back: whoever has this version has its results.
  await writeFile(weights, own);
  assert.equal(await resultsOf(await openBundled(cache, temp.file("model"))), alone);
  assert.equal(entriesOf(cache).length, 2);
});

test("defect: another version copied over a folder whose weights nobody shares changes no result of the one that runs", async () => {
  await using temp = await TempDir.make();
  const { weights, other } = await ownFolder(temp.file("model"));
  const alone = await resultsOf(await openBundled(null));
  const model = await openBundled(null, temp.file("model"));
  if (process.platform === "linux") assert.equal(mapped(temp.path), 0);
  // As cp writes: in place. Mapped, the next run would read it; and after it is cut, the process would die of SIGBUS.
  await writeFile(weights, other);
  await truncate(weights, 0);
  assert.equal(await resultsOf(model), alone);
});
