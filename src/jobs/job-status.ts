/** A durable job as its owner sees it. */
import type { JobStatus } from "millrace-client/wire";
import type { Jobs } from "./jobs.js";
import { hasEnded, type StoredJob } from "./store.js";

export function jobStatus(job: StoredJob, jobs: Pick<Jobs, "pace">): JobStatus {
  const { form, progress } = job;
  // What is told of its pace follows what is told of its state.
  const pace = hasEnded(job) ? null : jobs.pace(job.id);
  return {
    id: job.id,
    state: job.state,
    task: form.kind === "native" ? form.task : null,
    model: form.kind === "native" ? form.model : null,
    tenant: job.tenant,
    lines: job.lines,
    succeeded: progress.succeeded,
    failed: progress.failed,
    linesPerSecond: pace === null ? null : Math.round(pace.linesPerSecond * 10) / 10,
    expectedEndAt: pace === null ? null : isoTime(Date.now() + pace.endsInMs),
    createdAt: new Date(job.createdAtMs).toISOString(),
    startedAt: isoTime(job.startedAtMs),
    endedAt: isoTime(job.endedAtMs),
    deadlineAt: isoTime(job.deadlineAtMs),
    expiresAt: isoTime(job.expiresAtMs),
    metadata: job.metadata,
    errors: job.errors,
  };
}

/** Whole seconds would hide what was first. An end that is further off than a date can say is not known. */
function isoTime(ms: number | null): string | null {
  if (ms === null) return null;
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? null : date.toISOString();
}
