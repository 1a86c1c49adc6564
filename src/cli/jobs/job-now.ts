/** A job as it is now, for a command that follows it: a server that is away is waited for, as it is between two results. */
import type { JobStatus, Millrace } from "millrace-client";

export async function jobNow(
  { jobs }: Pick<Millrace, "jobs">,
  id: string,
  signal: AbortSignal,
): Promise<JobStatus> {
  for await (const job of jobs.watch(id, { signal })) return job;
  throw new Error("a job without a state");
}
