/** How fast a job goes, from what is seen of its progress; the clock is the test's. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { jobStatus } from "#src/jobs/job-status.js";
import { Paces } from "#src/jobs/pace.js";
import { freshJob, type StoredJob } from "#src/jobs/store.js";
import { jobOn } from "../support/stored-jobs.js";

function paces(): {
  readonly see: (done: number, state?: StoredJob["state"]) => void;
  readonly of: () => readonly number[] | null;
  readonly after: (ms: number) => void;
} {
  let nowMs = 1_000_000;
  const paces = new Paces(() => nowMs);
  return {
    see: (done, state = "in_progress") => {
      const progress = { chunks: 0, succeeded: done, failed: 0, outputBytes: 0, errorBytes: 0 };
      paces.saw({ id: "job", state, lines: 10_000, progress });
    },
    of: () => {
      const pace = paces.of("job");
      return pace === null
        ? null
        : [Math.round(pace.linesPerSecond), Math.round(pace.endsInMs / 1_000)];
    },
    after: (ms) => {
      nowMs += ms;
    },
  };
}

test("defect: the pace of a job was that of one server's own commits, and at an edge there was none", () => {
  const { see, of, after } = paces();
  see(0, "queued");
  after(600_000);
  see(0);
  assert.equal(of(), null);
  after(10_000);
  // Whoever did them.
  see(1_000);
  assert.deepEqual(of(), [100, 90], "what it waited for its turn is no time at work");
  after(500);
  see(1_050);
  after(500);
  see(1_100);
  assert.deepEqual(of(), [100, 89]);
});

test("a pace is that of the last minute, and none where nothing was done in it or the job has ended", () => {
  const { see, of, after } = paces();
  see(0);
  for (let at = 1; at <= 100; at += 1) {
    after(1_000);
    see(at * 10);
  }
  assert.deepEqual(of(), [10, 900]);
  after(61_000);
  assert.equal(of(), null);
  see(3_000);
  assert.deepEqual(of(), [33, 210], "2,000 in a minute");
  see(10_000, "completed");
  assert.equal(of(), null);
});

test("a job that was under way when this server first heard of it has the pace since then", () => {
  const { see, of, after } = paces();
  see(5_000);
  after(1_000);
  see(5_100);
  assert.deepEqual(of(), [100, 49]);
});

test("defect: a job that had ended was told with a pace, where that was heard of later", () => {
  const progress = { chunks: 1, succeeded: 1, failed: 0, outputBytes: 0, errorBytes: 0 };
  const job = jobOn("file", { id: "job", state: "completed" });
  const stored = { ...job, ...freshJob, sequence: 1, lines: 1, chunks: 1, progress };
  const pace = (): { linesPerSecond: number; endsInMs: number } => ({
    linesPerSecond: 7,
    endsInMs: 0,
  });
  const { linesPerSecond, expectedEndAt } = jobStatus(stored, { pace });
  assert.deepEqual([linesPerSecond, expectedEndAt], [null, null]);
});
