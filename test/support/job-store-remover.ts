/**
 * A process that keeps a large job and two uploads in a folder, and removes them until it is killed: `node job-store-remover.js DIR
 * delete|expire`. It says `full` before it begins to and `hidden` when nobody may see them any more; then they go, slice by slice.
 */
import { writeSync } from "node:fs";
import { openLmdbStore } from "#src/jobs/lmdb/lmdb-store.js";
import { createLog } from "#src/log.js";
import { newFile, newJob, resultsOf } from "../conformance/job-store/store-place.js";

const [, , dir, how] = process.argv;
if (dir === undefined || how === undefined) throw new Error("DIR and how are missing");
const log = createLog({ log: "json", logLevel: "warn", destination: process.stderr });
const store = await openLmdbStore({ dir, bytesMax: 2 ** 30, log });
const chunks = 600;
const bytes = Buffer.alloc(4_096, 65);
for (const [id, expiresAtMs] of [
  ["input", null],
  ["upload-1", 10],
  ["upload-2", 10],
] as const) {
  const writing = await store.beginFile({
    ...newFile(id),
    isInternal: id === "input",
    expiresAtMs,
  });
  for (let at = 0; at < chunks; at += 1) await writing.add({ firstLine: at, lines: 1, bytes });
  await writing.finish();
}
await store.createJob(newJob("job-1", "input"));
const commit = (at: number) => store.commit("job-1", { ...resultsOf(at, at), body: bytes });
await Promise.all(Array.from({ length: chunks }, (_, at) => commit(at)));
await store.changeJob("job-1", () => ({ state: "completed", endedAtMs: 5, expiresAtMs: 10 }));
writeSync(1, `full ${store.usage().bytes}\n`);
if (how === "delete") {
  const ids = ["upload-1", "upload-2"];
  await Promise.all([store.deleteJob("job-1"), ...ids.map((id) => store.deleteFile(id))]);
} else await store.removeExpired(10);
writeSync(1, "hidden\n");
setInterval(() => {}, 1_000);
