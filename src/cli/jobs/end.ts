/** `millrace jobs cancel` and `remove`. */
import type { Command } from "commander";
import { MillraceError } from "millrace-client/wire";
import { type ExitCode, exitCodes, exitCodesOfErrors } from "../exit-codes.js";
import { print, printText, tell } from "../print.js";
import { errorText } from "../program.js";
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
      return await ofEach(ids, async (id) => {
        const job = await client.jobs.cancel(id, { signal });
        print(flags, job, jobLine);
      });
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
      return await ofEach(ids, async (id) => {
        const { jobs } = client;
        // Asked first: a request that removes is not repeated on one that it has only cancelled.
        const job = await jobs.cancel(id, { signal });
        if (!hasJobEnded(job)) await jobs.wait(id, { signal });
        const outcome = await jobs.remove(id, { signal });
        const said = flags.json === true ? JSON.stringify({ id, outcome }) : `${id}  ${outcome}`;
        printText(`${said}\n`);
      });
    }),
  );
}

/** One that cannot be done is told, and the others are done; what has an exit code of its own is wrong for all of them, and ends it. */
async function ofEach(
  ids: readonly string[],
  work: (id: string) => Promise<void>,
): Promise<ExitCode> {
  let worst: ExitCode = exitCodes.ok;
  for (const id of ids) {
    try {
      await work(id);
    } catch (error) {
      const isOfOne =
        error instanceof MillraceError &&
        error.code !== "cancelled" &&
        exitCodesOfErrors[error.code] === undefined;
      if (!isOfOne) throw error;
      tell(errorText({ code: error.code, message: `${id}: ${error.message}` }));
      worst = exitCodes.failed;
    }
  }
  return worst;
}
