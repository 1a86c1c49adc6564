import assert from "node:assert/strict";
import { test } from "node:test";
import { MillraceError } from "millrace-client";
import { JobsClock, openJobsClock } from "#src/jobs/jobs-clock.js";

test("time is what really passed since the start, never before what was kept", async () => {
  let passedMs = 5_000;
  const clock = new JobsClock(1_000_000, () => passedMs);
  assert.equal(clock.now(), 1_000_000);
  passedMs += 1_234.5;
  assert.equal(clock.now(), 1_001_234);
  const kept = { keptTimeMs: () => Promise.resolve(2_000_000), reason: () => null };
  // Set back while the server was down, and not.
  assert.ok((await openJobsClock(kept, () => 1_000_000)).now() >= 2_000_000);
  assert.ok((await openJobsClock(kept, () => 3_000_000)).now() >= 3_000_000);
});

test("defect: a store that was away for a moment while it was asked for the time ended the server that started", async () => {
  const failed = new MillraceError("job_store_failed", "JetStream: no leader just now");
  const store = { keptTimeMs: () => Promise.reject(failed), reason: () => null };
  assert.ok((await openJobsClock(store, () => 1_000_000)).now() >= 1_000_000);
  const broken = { keptTimeMs: () => Promise.reject(new Error("a defect")), reason: () => null };
  await assert.rejects(openJobsClock(broken), /a defect/);
});
