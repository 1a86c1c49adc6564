/** Durable jobs over a store in memory: what is asked for, what is run, and what comes of it. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { anyCaller } from "#src/work/caller.js";
import { linesOfAll, made, text, whenEnded } from "../support/job-work.js";

test("a native job's texts are one call for a chunk, and each line has its result in order", async () => {
  await using work = await made();
  const lines = Array.from({ length: 300 }, (_, at) => JSON.stringify(`text ${at}`));
  const { job, isNew } = await work.jobs.create(anyCaller, {
    form: { kind: "native", task: "translate", model: null, fields: { beams: 1 } },
    input: { lines: text(`${lines.join("\n")}\n`) },
  });
  assert.equal(isNew, true);
  const ended = await whenEnded(work, job.id);
  assert.equal(ended.state, "completed");
  assert.deepEqual(
    [ended.progress.succeeded, ended.progress.failed, ended.progress.chunks],
    [300, 0, 3],
  );
  assert.equal(work.calls.length, 3);
  const results = await linesOfAll(work, job.id);
  assert.deepEqual(
    results.map(({ line }) => line),
    lines.map((_, at) => at),
  );
  assert.deepEqual(JSON.parse(results[299]?.json ?? ""), { line: 299, text: "TEXT 299" });
});
