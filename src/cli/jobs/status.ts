/** `millrace jobs status`: how far one is, once. */
import type { Command } from "commander";
import { print, tell } from "../print.js";
import { runRemote } from "../remote.js";
import { addJobFlags, type JobFlags, jobsClient } from "./flags.js";
import { exitOfJob, jobErrors, jobLine } from "./view.js";

export function registerJobStatus(jobs: Command): void {
  const command = jobs
    .command("status")
    .argument("<id>", "of the job")
    .summary("show how far a job is")
    .description("Show how far a job is, once; `jobs watch` stays until it has ended.")
    .addHelpText("after", "\nExamples:\n  $ millrace jobs status $id --json | jq .expectedEndAt\n");
  addJobFlags(command, "as JSON").action((id: string, flags: JobFlags) =>
    runRemote(async (signal) => {
      await using client = jobsClient(flags);
      const job = await client.jobs.get(id, { signal });
      print(flags, job, jobLine);
      tell(jobErrors(job));
      return exitOfJob(job);
    }),
  );
}
