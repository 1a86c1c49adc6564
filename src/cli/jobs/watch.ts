/** `millrace jobs watch`: how far one is, until it has ended, over broken connections and restarts of the server. */
import type { Command } from "commander";
import { type JobStatus, type Millrace, MillraceError } from "millrace-client";
import { ProgressBar } from "../bulk/progress-bar.js";
import { printJson, printText, tell } from "../print.js";
import { runRemote } from "../remote.js";
import { addJobFlags, type JobFlags, jobsClient } from "./flags.js";
import { exitOfJob, jobErrors, jobLine } from "./view.js";

interface Flags extends JobFlags {
  readonly progress: boolean;
}

interface WatchParts {
  readonly flags: Flags;
  readonly signal: AbortSignal;
}

const examples = `
Examples:
  $ millrace jobs watch $id                a bar on a terminal; Ctrl-C leaves the job running
  $ millrace jobs watch $id --json         a line at each change
`;

export function registerWatch(jobs: Command): void {
  const command = jobs
    .command("watch")
    .argument("<id>", "of the job")
    .summary("stay until a job has ended")
    .description(
      "Stay until a job has ended, and print how. A connection that breaks, or a server that is away for a while, is waited for.",
    )
    .option("--no-progress", "no progress bar")
    .addHelpText("after", examples);
  addJobFlags(command, "a JSON object a line, at each change").action((id: string, flags: Flags) =>
    runRemote(async (signal) => {
      await using client = jobsClient(flags);
      return await watchToEnd(client, id, { flags, signal });
    }),
  );
}

/** Prints how it ended; gives the exit status. */
export async function watchToEnd(
  client: Millrace,
  id: string,
  { flags, signal }: WatchParts,
): Promise<number> {
  let bar: ProgressBar | null = null;
  let last: JobStatus | null = null;
  try {
    for await (const job of client.jobs.watch(id, { signal })) {
      const done = job.succeeded + job.failed;
      bar ??= new ProgressBar(flags, { unit: "lines", before: done });
      bar.total(job.lines);
      bar.at(done);
      if (flags.json === true) printJson(job);
      last = job;
    }
  } catch (error) {
    bar?.stop();
    bar = null;
    if (last !== null || !saysNothingOfJobs(error)) sayItGoesOn(id);
    throw error;
  } finally {
    bar?.stop();
  }
  if (last === null) throw new Error("a job without a state");
  if (flags.json !== true) printText(jobLine(last));
  tell(jobErrors(last));
  return exitOfJob(last);
}

const strangerCodes = ["response_invalid", "unauthenticated", "forbidden", "jobs_off"];

/** There is no such job, or no more; or who answered told nothing of any. */
function saysNothingOfJobs(error: unknown): boolean {
  if (!(error instanceof MillraceError)) return false;
  return error.code === "job_not_found" || strangerCodes.includes(error.code);
}

/** To whoever leaves, or was left by the server. */
function sayItGoesOn(id: string): void {
  tell(`The job goes on without us; come back with: millrace jobs watch ${id}\n`);
}
