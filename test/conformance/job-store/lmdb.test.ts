/**
 * The store in a folder of this machine, held to the list of all stores. What docs/limits.md names is the case
 * "full, it takes nothing new and finishes what it has taken".
 */
import assert from "node:assert/strict";
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { openLmdbStore } from "#src/jobs/lmdb/lmdb-store.js";
import { type JobStore, placeKeptMs } from "#src/jobs/store.js";
import { createLog } from "#src/log.js";
import { TempDir } from "../../support/temp-dir.js";
import { storeCases } from "./store-cases.js";
import { hasCode, keepFile, MiB, type StorePlace } from "./store-place.js";

async function lmdbPlace(context: TestContext): Promise<StorePlace> {
  const temp = await TempDir.make();
  const opened: JobStore[] = [];
  context.after(async () => {
    for (const store of opened) await store[Symbol.asyncDispose]();
    await temp[Symbol.asyncDispose]();
  });
  const log = createLog({ log: "json", logLevel: "warn", destination: process.stdout });
  let dir = temp.file("0");
  let crashes = 0;
  const open: StorePlace["open"] = async (bytesMax) => {
    const store = await openLmdbStore({ dir, bytesMax, log });
    opened.push(store);
    return store;
  };
  return {
    open,
    // Everything that was acknowledged is synced: a copy is what a killed process leaves.
    crashed: async (store, bytesMax) => {
      crashes += 1;
      const next = temp.file(String(crashes));
      await mkdir(next);
      await copyFile(join(dir, "jobs.mdb"), join(next, "jobs.mdb"));
      await store[Symbol.asyncDispose]();
      dir = next;
      return await open(bytesMax);
    },
  };
}

storeCases("lmdb", lmdbPlace);

test("lmdb: the place of what was deleted is kept for an hour, and no row of it longer", async (context) => {
  const store = await (await lmdbPlace(context)).open(MiB);
  const behind = { owner: null, limit: 1, after: "file-1" };
  await store.keepTimeMs(1_000);
  await keepFile(store, "file-1", 1);
  await keepFile(store, "file-2", 1);
  await store.deleteFile("file-1");
  await store.removeExpired(placeKeptMs + 999);
  assert.equal((await store.files(behind))[0]?.id, "file-2");
  assert.equal(await store.removeExpired(placeKeptMs + 1_000), 0);
  await assert.rejects(store.files(behind), hasCode("bad_request"));
});
