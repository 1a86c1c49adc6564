/**
 * A process that keeps files and jobs in a folder as fast as it can, until it is killed: `node job-store-writer.js DIR RUN`. It tells of
 * each thing on a line when the store has acknowledged it, never before.
 */
import { writeSync } from "node:fs";
import { openLmdbStore } from "#src/jobs/lmdb/lmdb-store.js";
import { createLog } from "#src/log.js";
import { chunkOf, newFile, newJob, resultsOf } from "../conformance/job-store/store-place.js";

const [, , dir, run] = process.argv;
if (dir === undefined || run === undefined) throw new Error("DIR and RUN are missing");
const log = createLog({ log: "json", logLevel: "warn", destination: process.stderr });
const store = await openLmdbStore({ dir, bytesMax: 2 ** 30, log });
const tell = (...words: readonly (string | number)[]): void =>
  void writeSync(1, `${words.join(" ")}\n`);
tell("opened");

for (let at = 0; ; at += 1) {
  const chunks = 8;
  const fileId = `file-${run}-${at}`;
  const jobId = `job-${run}-${at}`;
  const writing = await store.beginFile(newFile(fileId));
  for (let index = 0; index < chunks; index += 1) await writing.add(chunkOf(index));
  await writing.finish();
  tell("file", fileId, chunks);
  await store.createJob(newJob(jobId, fileId));
  tell("job", jobId);
  await Promise.all(
    Array.from({ length: chunks }, async (_, index) => {
      if (await store.commit(jobId, resultsOf(index, at))) tell("commit", jobId, index);
    }),
  );
  if (at % 3 !== 2) continue;
  await store.deleteJob(jobId);
  tell("gone", jobId);
}
