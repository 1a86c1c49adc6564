/** `millrace jobs cancel` and `remove`. */
import type { Command } from "commander";
import { exitCodes } from "../exit-codes.js";
import { runRemote } from "../remote.js";
import { addJobFlags, type JobFlags, jobsClient } from "./flags.js";
import { hasJobEnded, jobLine } from "./view.js";

export function registerCancel(jobs: Command): void {
  const command = jobs
    .command("cancel")
    .argument("<id...>", "of the jobs")
    .summary("end jobs; what is done is kept")
    .description("End jobs that have not ended. What is done is kept and can be fetched.")
    .addHelpText("after", "\nExamples:\n  $ millrace jobs cancel $id\n");
  addJobFlags(command, "one JSON object a line").action((ids: readonly string[], flags: JobFlags) =>
    runRemote(async (signal) => {
      await using client = jobsClient(flags);
      for (const id of ids) {
        const job = await client.jobs.cancel(id, { signal });
        process.stdout.write(flags.json === true ? `${JSON.stringify(job)}\n` : jobLine(job));
      }
      return exitCodes.ok;
    }),
  );
}

export function registerRemove(jobs: Command): void {
  const command = jobs
    .command("remove")
    .argument("<id...>", "of the jobs")
    .summary("remove jobs that have ended, with their results")
    .description(
      "Remove jobs that have ended, with their input and results. One that has not is cancelled first, and waited for.",
    )
    .addHelpText(
      "after",
      "\nExamples:\n  $ millrace jobs remove $id\n  $ millrace jobs list --json | jq -r .id | xargs millrace jobs remove\n",
    );
  addJobFlags(command, "one JSON object a line").action((ids: readonly string[], flags: JobFlags) =>
    runRemote(async (signal) => {
      await using client = jobsClient(flags);
      for (const id of ids) {
        const { jobs } = client;
        // Asked first: a request that removes is not repeated on one that it has only cancelled.
        const job = await jobs.cancel(id, { signal });
        if (!hasJobEnded(job)) await jobs.wait(id, { signal });
        const outcome = await jobs.remove(id, { signal });
        const said = flags.json === true ? JSON.stringify({ id, outcome }) : `${id}  ${outcome}`;
        process.stdout.write(`${said}\n`);
      }
      return exitCodes.ok;
    }),
  );
}
