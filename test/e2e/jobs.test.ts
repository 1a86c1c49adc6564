/** Durable jobs through a whole server with real workers: what a job says is what its route says. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { openBackend } from "#src/backend/local-backend.js";
import { type JobWork, openJobWork } from "#src/jobs/job-work.js";
import { LocalQueue } from "#src/jobs/local-queue.js";
import { createLog } from "#src/log.js";
import { resolveConfiguration } from "#src/options/resolve.js";
import { startServer } from "#src/server.js";
import { anyCaller } from "#src/work/caller.js";
import { linesOfAll, text, whenEnded } from "../support/job-work.js";
import { MemoryJobStore } from "../support/memory-job-store.js";
import { bundledModels, post, sentences } from "../support/real-server.js";

test("a job's lines have the results, to the byte, that the route gives", async () => {
  const store = new MemoryJobStore();
  const configuration = resolveConfiguration({
    code: { models: bundledModels, port: 0, pipelines: 1, threads: 1, trial: "off" },
  });
  const log = createLog({ log: "json", logLevel: "silent", destination: { write: () => {} } });
  const opened: JobWork[] = [];
  await using server = await startServer(configuration, {
    log,
    openBackend,
    openJobs: async (parts) => {
      const work = await openJobWork({ ...parts, store, queue: new LocalQueue(store) });
      opened.push(work);
      return work;
    },
  });
  const { jobs } = opened[0] ?? assert.fail("jobs were opened");
  const inputs = [...sentences, ""];
  const { job } = await jobs.create(anyCaller, {
    form: { kind: "native", task: "translate", model: "en-zh", fields: { beams: 1 } },
    input: { lines: text(inputs.map((each) => `${JSON.stringify(each)}\n`).join("")) },
  });
  const ended = await whenEnded({ jobs, store }, job.id);
  assert.equal(ended.state, "completed");
  const direct = await post(
    server.url,
    { model: "en-zh", texts: inputs, beams: 1 },
    { headers: { accept: "application/x-ndjson" } },
  );
  const byIndex = (await direct.text())
    .split("\n")
    .filter((line) => line.startsWith('{"index":'))
    .map((line) => line.replace('{"index":', '{"line":'))
    .sort((left, right) => lineOf(left) - lineOf(right));
  assert.deepEqual(
    (await linesOfAll({ jobs }, job.id)).map(({ json }) => json),
    byIndex,
  );
});

function lineOf(json: string): number {
  return (JSON.parse(json) as { line: number }).line;
}
