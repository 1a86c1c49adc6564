/** The store in a folder of this machine, held to the list of all stores. */
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { openLmdbStore } from "#src/jobs/lmdb/lmdb-store.js";
import type { JobStore } from "#src/jobs/store.js";
import { createLog } from "#src/log.js";
import { TempDir } from "../../support/temp-dir.js";
import { type StorePlace, storeCases } from "./store-cases.js";

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
