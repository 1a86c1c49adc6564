/** `millrace jobs list`: the newest first. */
import type { Command } from "commander";
import { wholeNumber } from "../bulk/flags.js";
import { exitCodes } from "../exit-codes.js";
import { print } from "../print.js";
import { runRemote } from "../remote.js";
import { addJobFlags, type JobFlags, jobsClient } from "./flags.js";
import { jobLine } from "./view.js";

interface Flags extends JobFlags {
  readonly limit: number;
}

const pageMax = 100;

const examples = `
Examples:
  $ millrace jobs list
  $ millrace jobs list --json --limit 1000 | jq -r 'select(.state == "completed") | .id'
`;

export function registerList(jobs: Command): void {
  const command = jobs
    .command("list")
    .summary("show jobs, the newest first")
    .description(
      "Show the jobs that you made, the newest first; a key of an administrator shows all.",
    )
    .option("--limit <n>", "how many at most", wholeNumber, 20)
    .addHelpText("after", examples);
  addJobFlags(command, "one JSON object a line").action((flags: Flags) =>
    runRemote((signal) => list(flags, signal)),
  );
}

async function list(flags: Flags, signal: AbortSignal): Promise<number> {
  await using client = jobsClient(flags);
  let left = flags.limit;
  for (let after: string | null = null; left > 0; ) {
    const page = await client.jobs.list({ limit: Math.min(left, pageMax), after, signal });
    for (const job of page.jobs) {
      print(flags, job, jobLine);
    }
    left -= page.jobs.length;
    if (page.next === null) break;
    after = page.next;
  }
  return exitCodes.ok;
}
