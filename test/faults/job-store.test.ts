/** Durable jobs in a folder when something goes wrong below them or beside them. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { copyFile, mkdir, open, readFile, stat, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { MillraceError } from "millrace-client";
import { openLmdbStore } from "#src/jobs/lmdb/lmdb-store.js";
import { Tables } from "#src/jobs/lmdb/tables.js";
import type { FileWriting, JobStore } from "#src/jobs/store.js";
import { createLog } from "#src/log.js";
import {
  chunkOf,
  hasCode,
  keepFile,
  newFile,
  newJob,
  resultsOf,
} from "../conformance/job-store/store-place.js";
import { Random } from "../sim/random.js";
import { isLong, someOf } from "../support/long.js";
import { TempDir } from "../support/temp-dir.js";
import { until } from "../support/until.js";

const log = createLog({ log: "json", logLevel: "silent", destination: process.stdout });
const MiB = 1024 ** 2;

async function opened(dir: string, bytesMax = 1024 * MiB): Promise<JobStore> {
  return await openLmdbStore({ dir, bytesMax, log });
}

function writer(dir: string, run: number): ChildProcess {
  const script = fileURLToPath(new URL("../support/job-store-writer.js", import.meta.url));
  return spawn(process.execPath, [script, dir, String(run)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
}

test("killed again and again while it writes: what was acknowledged is there, and nothing is half", async () => {
  await using temp = await TempDir.make();
  const random = new Random(9);
  const told: string[] = [];
  for (let run = 0; run < (isLong ? 5 : 2); run += 1) {
    const child = writer(temp.path, run);
    const closed = once(child, "close");
    const killAt = random.int(2, 120);
    let lines = 0;
    assert.ok(child.stdout !== null);
    for await (const line of createInterface({ input: child.stdout })) {
      told.push(line);
      lines += 1;
      if (lines === killAt) child.kill("SIGKILL");
    }
    await closed;
    await using store = await opened(temp.path);
    await isAllThere(store, told);
  }
});

async function isAllThere(store: JobStore, told: readonly string[]): Promise<void> {
  const gone = new Set(
    told.filter((line) => line.startsWith("gone")).map((line) => line.split(" ")[1]),
  );
  const every = { owner: null, limit: 100_000 };
  const files = new Map((await store.files(every)).map((file) => [file.id, file]));
  const jobs = new Map((await store.jobs(every)).map((job) => [job.id, job]));
  for (const line of told) {
    const [what, id = "", index = ""] = line.split(" ");
    // The one that was being deleted may be gone without having been told.
    if (what === "file") assert.equal(files.get(id)?.chunks, Number(index), line);
    const isLeaving = Number(id.split("-").at(-1)) % 3 === 2;
    if (isLeaving) continue;
    if (what === "job") assert.ok(jobs.has(id), line);
    if (what === "commit") assert.ok((await store.results(id, Number(index))) !== null, line);
  }
  for (const id of gone) assert.equal(jobs.has(id ?? ""), false, id);
  for (const file of files.values()) {
    for (let at = 0; at < file.chunks; at += 1) {
      assert.deepEqual((await store.chunk(file.id, at))?.bytes, new Uint8Array(chunkOf(at).bytes));
    }
  }
  for (const job of jobs.values()) {
    let done = 0;
    for (let at = 0; at < job.chunks; at += 1)
      if ((await store.results(job.id, at)) !== null) done += 1;
    assert.equal(done, job.progress.chunks, job.id);
  }
}

for (const how of ["delete", "expire"]) {
  test(`killed while a large job goes (${how}): nothing half of it is seen, and its room comes back`, async () => {
    await using temp = await TempDir.make();
    const random = new Random(how.length);
    for (let run = 0; run < (isLong ? 10 : 1); run += 1) {
      const dir = temp.file(`${how}-${run}`);
      const fullBytes = await removedUntilKilled(dir, how, random.int(0, 60));
      await using store = await opened(dir);
      // All of it is hidden, or nothing is: then it is done again.
      const isThere = (await store.job("job-1")) !== null;
      if (isThere) {
        assert.equal((await store.results("job-1", 599))?.index, 599);
        assert.equal((await store.chunk("input", 599))?.lines, 1);
      }
      await store.removeExpired(10);
      await store.deleteJob("job-1");
      for (const id of ["upload-1", "upload-2"]) await store.deleteFile(id);
      assert.deepEqual(await store.files({ owner: null, limit: 9 }), []);
      assert.equal(await store.file("input"), null);
      assert.equal(await store.chunk("upload-1", 0), null);
      assert.equal(await store.results("job-1", 0), null);
      // It is told with each write: of slices, and of this one where they are done.
      while (store.usage().bytes > fullBytes / 50) await store.keepTimeMs(1);
    }
  });
}

/** How much there was. */
async function removedUntilKilled(dir: string, how: string, afterMs: number): Promise<number> {
  const script = fileURLToPath(new URL("../support/job-store-remover.js", import.meta.url));
  const child = spawn(process.execPath, [script, dir, how], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const closed = once(child, "close");
  let fullBytes = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    if (!line.startsWith("full")) continue;
    fullBytes = Number(line.split(" ")[1]);
    setTimeout(() => child.kill("SIGKILL"), afterMs);
  }
  await closed;
  return fullBytes;
}

test("a second store of one folder is refused by name, a killed one's is taken over", async () => {
  await using temp = await TempDir.make();
  const child = writer(temp.path, 0);
  try {
    assert.ok(child.stdout !== null);
    await once(child.stdout, "data");
    await assert.rejects(opened(temp.path), (error) => {
      assert.ok(error instanceof MillraceError);
      assert.equal(error.code, "data_in_use");
      assert.match(error.message, new RegExp(`process ${child.pid} on `));
      return true;
    });
    // Stopped, it has the folder still.
    child.kill("SIGSTOP");
    await assert.rejects(opened(temp.path), hasCode("data_in_use"));
  } finally {
    const closed = once(child, "close");
    child.kill("SIGKILL");
    await closed;
  }
  const taken = await Promise.allSettled([opened(temp.path), opened(temp.path), opened(temp.path)]);
  const stores = taken.flatMap((each) => (each.status === "fulfilled" ? [each.value] : []));
  assert.equal(stores.length, 1);
  for (const store of stores) await store[Symbol.asyncDispose]();
});

test("what callers send is nobody else's on this machine: the folder is made for its user alone", async () => {
  await using temp = await TempDir.make();
  const dir = temp.file("data", "jobs");
  await (await opened(dir))[Symbol.asyncDispose]();
  for (const made of [dir, temp.file("data")]) {
    assert.equal((await stat(made)).mode & 0o777, 0o700, made);
  }
});

test("a format of another version, a foreign file and a file in its place are refused by name", async () => {
  await using temp = await TempDir.make();
  await (await opened(temp.path))[Symbol.asyncDispose]();
  const path = temp.file("jobs.mdb");
  const tables = new Tables(path, {});
  tables.transaction(() => tables.put("marks", "format", { version: 2 }));
  await tables.close();
  await assert.rejects(opened(temp.path), (error) => {
    assert.ok(error instanceof MillraceError && error.code === "data_invalid");
    return /its format is 2, and this Millrace knows 1/.test(error.message);
  });
  await mkdir(temp.file("b"));
  await copyFile(fileURLToPath(import.meta.url), temp.file("b", "jobs.mdb"));
  await assert.rejects(opened(temp.file("b")), hasCode("data_invalid"));
  await assert.rejects(opened(path), hasCode("data_invalid"));
});

test("whatever is damaged below it: refused by name, or every answer is right or an error", async (context) => {
  await using temp = await TempDir.make();
  const from = temp.file("whole");
  await filled(from);
  const { size } = await stat(join(from, "jobs.mdb"));
  const pages = size / 4_096;
  const random = new Random(5);
  const zero = new Uint8Array(4_096);
  const noise = (): Uint8Array => Uint8Array.from({ length: 4_096 }, () => random.int(0, 255));
  const damages: readonly ((path: string) => Promise<void>)[] = [
    async (path) => await truncate(path, 100),
    async (path) => await truncate(path, 4_096),
    async (path) => await truncate(path, size - 4_096),
    async (path) => await truncate(path, size - 10 * 4_096),
    async (path) => await written(path, 0, noise()),
    async (path) => await written(path, 1, zero),
    ...Array.from({ length: 8 }, (_, at) => async (path: string) => {
      await written(path, random.int(2, pages - 1), at % 2 === 0 ? zero : noise());
    }),
  ];
  const tried = someOf([...damages.entries()], 3);
  let refused = 0;
  for (const [at, damage] of tried) {
    const dir = temp.file(String(at));
    await mkdir(dir);
    await copyFile(join(from, "jobs.mdb"), join(dir, "jobs.mdb"));
    await damage(join(dir, "jobs.mdb"));
    if (await isRefused(dir)) refused += 1;
  }
  context.diagnostic(`${refused} of ${tried.length} refused`);
});

test("defect: one damaged record held up every job, each second, and the next start", async () => {
  await using temp = await TempDir.make();
  const mark = "this-one-is-damaged";
  {
    await using store = await opened(temp.path);
    for (const id of ["1", "2", "3"]) {
      const name = id === "3" ? mark : "input.jsonl";
      const writing = await store.beginFile({ ...newFile(`file-${id}`), name });
      await writing.add(chunkOf(0));
      await writing.finish();
    }
    await store.createJob({ ...newJob("job-1", "file-1"), metadata: { mark } });
    await store.createJob(newJob("job-2", "file-2"));
    await store.createJob(newJob("job-3", "file-3"));
    const over = { state: "cancelled", endedAtMs: 1, expiresAtMs: 2 } as const;
    await store.createJob({ ...newJob("job-4", "file-1"), metadata: { mark } });
    await store.changeJob("job-4", () => over);
  }
  const path = join(temp.path, "jobs.mdb");
  const text = (await readFile(path)).toString("latin1");
  await writeFile(path, text.replaceAll(mark, "x".repeat(mark.length)), "latin1");
  const lines: string[] = [];
  const destination = { write: (line: string) => lines.push(line) };
  const heard = createLog({ log: "json", logLevel: "error", destination });
  await using store = await openLmdbStore({ dir: temp.path, bytesMax: 1024 * MiB, log: heard });
  const all = { owner: null, limit: 10 };
  for (let sweep = 0; sweep < 3; sweep += 1) {
    assert.deepEqual(
      (await store.openJobs()).map(({ id }) => id),
      ["job-2", "job-3"],
    );
    assert.equal(await store.removeExpired(1_000), 0);
  }
  assert.deepEqual(
    (await store.jobs(all)).map(({ id }) => id),
    ["job-2", "job-3"],
  );
  assert.deepEqual(
    (await store.files(all)).map(({ id }) => id),
    ["file-1", "file-2"],
  );
  await assert.rejects(store.job("job-1"), hasCode("job_store_failed"));
  assert.equal(await store.commit("job-2", resultsOf(0, 0)), true);
  // Its input is lost with what was said of it, and it ends.
  await assert.rejects(store.chunk("file-3", 0), hasCode("job_data_lost"));
  const ends = { state: "failed", endedAtMs: 3, expiresAtMs: 4 } as const;
  assert.equal((await store.changeJob("job-3", () => ends))?.state, "failed");
  assert.equal(await store.deleteJob("job-3"), true);
  const told = lines.map((line) => (JSON.parse(line) as { readonly key: string }).key);
  assert.deepEqual(told.toSorted(), ["file-3", "job-1", "job-4"]);
});

async function filled(dir: string): Promise<void> {
  await using store = await opened(dir);
  await keepFile(store, "file-1", 40);
  await store.createJob(newJob("job-1", "file-1"));
  for (let at = 0; at < 40; at += 1) {
    await store.commit("job-1", { ...resultsOf(at, at), body: new Uint8Array(5_000).fill(at) });
  }
}

async function written(path: string, page: number, bytes: Uint8Array): Promise<void> {
  const file = await open(path, "r+");
  await file.write(bytes, 0, bytes.byteLength, page * 4_096);
  await file.close();
}

/** False: it opens, and then what it says is what was written. */
async function isRefused(dir: string): Promise<boolean> {
  let store: JobStore;
  try {
    store = await opened(dir);
  } catch (error) {
    assert.ok(error instanceof MillraceError && error.code === "data_invalid", String(error));
    return true;
  }
  await using it = store;
  const orError = async <T>(read: Promise<T>): Promise<T | "error"> =>
    await read.catch((error: unknown) => {
      const codes = ["job_store_failed", "job_data_lost"];
      assert.ok(error instanceof MillraceError && codes.includes(error.code), String(error));
      return "error";
    });
  const job = await orError(it.job("job-1"));
  if (job !== "error") assert.equal(job?.progress.chunks, 40);
  for (let at = 0; at < 40; at += 1) {
    const chunk = await orError(it.chunk("file-1", at));
    if (chunk !== "error") assert.deepEqual(chunk?.bytes, new Uint8Array(chunkOf(at).bytes));
    const results = await orError(it.results("job-1", at));
    if (results !== "error") assert.deepEqual(results?.body, new Uint8Array(5_000).fill(at));
  }
  return false;
}

test("a full disk: new work is refused, nothing is harmed, and with room again it goes on", async (context) => {
  await using temp = await TempDir.make();
  const dir = temp.file("small");
  await mkdir(dir);
  if (!isMounted(dir, context)) return;
  try {
    await using store = await opened(dir);
    await keepFile(store, "file-1", 4);
    await store.createJob(newJob("job-1", "file-1"));
    const ballast = await open(join(dir, "ballast"), "w");
    const half = await fillUp(store);
    // Somebody else takes what is left.
    const block = new Uint8Array(4_096);
    await (async () => {
      for (;;) await ballast.write(block);
    })().catch(() => {});
    await ballast.close();
    await assert.rejects(store.beginFile(newFile("file-9")), hasCode("job_store_full"));
    await assert.rejects(store.createJob(newJob("job-2", "file-1")), hasCode("job_store_full"));
    const large = { ...resultsOf(0, 0), body: new Uint8Array(4 * MiB) };
    await assert.rejects(store.commit("job-1", large), hasCode("job_store_failed"));
    assert.equal((await store.job("job-1"))?.progress.chunks, 0);
    assert.equal(await store.results("job-1", 0), null);
    // On the full disk still: deletions free what new work may have.
    await half.abort();
    assert.equal(await store.deleteFile("file-2"), true);
    await until(() => store.usage().bytes <= 2 * MiB);
    await keepFile(store, "file-3", 2);
    await truncate(join(dir, "ballast"), 0);
    assert.equal(await store.commit("job-1", { ...large, body: new Uint8Array(MiB / 4) }), true);
    assert.equal((await store.job("job-1"))?.progress.chunks, 1);
  } finally {
    spawnSync("umount", [dir]);
  }
});

function isMounted(dir: string, context: TestContext): boolean {
  const { status } = spawnSync("mount", ["-t", "tmpfs", "-o", "size=24m", "millrace-test", dir]);
  // Told, and no skip: no package brings the right to mount.
  if (status !== 0)
    context.diagnostic("NOT TRIED: a small disk is made by mount, which is not allowed here");
  return status === 0;
}

/** With one file, finished at the last chunk that was taken. */
async function fillUp(store: JobStore): Promise<FileWriting> {
  const writing = await store.beginFile(newFile("file-2"));
  const bytes = new Uint8Array(64 * 1024);
  for (let at = 0; at < 160; at += 1) await writing.add({ firstLine: at, lines: 1, bytes });
  await writing.finish();
  const more = await store.beginFile(newFile("file-4"));
  const fill = async (): Promise<void> => {
    for (let at = 0; at < 400; at += 1) await more.add({ firstLine: at, lines: 1, bytes });
    await more.finish();
  };
  await assert.rejects(fill(), hasCode("job_store_full"));
  return more;
}
