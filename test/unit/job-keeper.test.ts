/** What becomes of a job where several servers keep the same store. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { JobKeeper } from "#src/jobs/job-keeper.js";
import { JobsClock } from "#src/jobs/jobs-clock.js";
import { LocalQueue } from "#src/jobs/local-queue.js";
import { Paces } from "#src/jobs/pace.js";
import { createLog } from "#src/log.js";
import { MemoryJobStore } from "../support/memory-job-store.js";
import { until } from "../support/real-server.js";
import { jobOn, newFileHead, resultsOf } from "../support/stored-jobs.js";

const log = createLog({ log: "json", logLevel: "silent", destination: { write: () => {} } });

test("defect: servers that end a job in the same millisecond each took themselves for the one that did", async () => {
  const store = new MemoryJobStore();
  const writing = await store.beginFile(newFileHead("file"));
  await writing.add({ firstLine: 0, lines: 1, bytes: Buffer.from('"a"\n') });
  await writing.finish();
  // Their clocks stand at the same time.
  const clock = new JobsClock(1_000_000, () => 0);
  let ended = 0;
  let seen = 0;
  const keepers = Array.from({ length: 3 }, () => {
    return new JobKeeper({
      store,
      queue: new LocalQueue(store),
      clock,
      paces: new Paces(),
      log,
      isRevoked: () => false,
      onEnded: () => {
        ended += 1;
      },
      onSeenEnded: () => {
        seen += 1;
      },
    });
  });
  const runs = { isRunning: () => false, leave: () => {} };
  await Promise.all(keepers.map((keeper) => keeper.start(runs)));
  await store.createJob(jobOn("file", { id: "job", state: "in_progress" }));
  await store.commit("job", resultsOf(0));
  await until(() => seen >= keepers.length);
  await Promise.all(keepers.map((keeper) => keeper.stop()));
  assert.equal(ended, 1);
});
