/** Durable jobs: whether they can be kept, and how fast. */
import type { Draft, Rule } from "../draft.js";
import { type Figures, shareOf } from "../figures.js";
import { grownBy } from "../window.js";
import { bytes, count, ms, oneLine, percent } from "../words.js";

export const jobRules: readonly Rule[] = [jobStoreFailed, jobStoreFull, diskSlow];

function jobStoreFailed({ after }: Figures): readonly Draft[] {
  const { jobs } = after;
  if (jobs?.state !== "failed") return [];
  return [
    {
      code: "job-store-failed",
      severity: "problem",
      title: "Durable jobs can be neither kept nor read.",
      evidence: [
        oneLine(jobs.reason ?? "no reason was told"),
        `${count(jobs.open ?? 0, "job")} open, ${count(jobs.runningChunks, "chunk")} running`,
      ],
      change: "See to the folder of --data, or to NATS; it is tried again by itself.",
      expect: "Jobs go on where they were; nothing that was accepted is lost.",
    },
  ];
}

const fullShareMin = 0.95;

function jobStoreFull({ after, refusals }: Figures): readonly Draft[] {
  const { jobs } = after;
  const refused = refusals["job_store_full"] ?? 0;
  const isFull = jobs !== undefined && shareOf(jobs.bytes, jobs.bytesMax) >= fullShareMin;
  if (refused === 0 && !isFull) return [];
  const [used, most] = [jobs?.bytes ?? 0, jobs?.bytesMax ?? 0];
  return [
    {
      code: "job-store-full",
      severity: "problem",
      title: "What jobs keep takes all that it may.",
      evidence: [
        `${bytes(used)} of ${bytes(most)} (${percent(shareOf(used, most))})`,
        `${count(refused, "job or file", "jobs or files")} refused with job_store_full`,
      ],
      change: `\`millrace jobs remove ID…\` of those whose results are fetched, a shorter --job-retention, or --jobs-bytes-max ${Math.max(most * 2, 1024 ** 2)}, if the disk has it.`,
      expect: "New jobs and files are accepted again.",
    },
  ];
}

const commitMsMin = 200;
const commitsMin = 2;

function diskSlow({ before, after, windowMs, busyShare }: Figures): readonly Draft[] {
  const [was, is] = [before.jobs, after.jobs];
  if (is?.commits === undefined || is.commitMs === undefined) return [];
  const commits = grownBy(was?.commits ?? 0, is.commits);
  const commitMs = grownBy(was?.commitMs ?? 0, is.commitMs);
  if (commits < commitsMin || commitMs / commits < commitMsMin) return [];
  const each = commitMs / commits;
  return [
    {
      code: "disk-slow",
      severity: "problem",
      title: "The disk of the jobs is slow: results wait to be written.",
      evidence: [
        `${count(commits, "commit")} took ${ms(each)} each in ${ms(windowMs)}`,
        `${count(is.open ?? 0, "job")} open, ${count(is.runningChunks, "chunk")} running; pipelines computed ${percent(busyShare)} of the time`,
      ],
      change:
        "Put the folder of --data on a local solid-state disk of its own (with --nats: the store of JetStream), and see who else writes there (`iostat -x 1`).",
      expect: `A commit that takes 10 ms instead of ${ms(each)} gives ${ms(commitMs - 10 * commits)} of waiting back in the same time.`,
    },
  ];
}
