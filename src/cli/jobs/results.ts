/** `millrace jobs results`: what came of each line, into a file that a later run goes on with, or to standard output. */
import { once } from "node:events";
import type { Command } from "commander";
import { ProgressBar } from "../bulk/progress-bar.js";
import { printJson, tell } from "../print.js";
import { runRemote } from "../remote.js";
import { addJobFlags, type JobFlags, jobsClient } from "./flags.js";
import { jobNow } from "./job-now.js";
import { exitOfJob, jobErrors } from "./view.js";

interface Flags extends JobFlags {
  readonly out?: string;
  readonly wait: boolean;
  readonly restart?: boolean;
  readonly progress: boolean;
}

const examples = `
Examples:
  $ millrace jobs results $id --out big.zh.txt       a line of text for each line; again: goes on
  $ millrace jobs results $id --out all.jsonl        all that the server says of each
  $ millrace jobs results $id --no-wait | head       what is there already
`;

export function registerResults(jobs: Command): void {
  const command = jobs
    .command("results")
    .argument("<id>", "of the job")
    .summary("fetch what came of each line, in order")
    .description(
      "Fetch what came of each line, in order, until the job has ended. A file goes on where it ends, when the same is run again.",
    )
    .option("--out <file>", ".jsonl: all of each result; anything else: its text alone")
    .option("--no-wait", "only what is there already")
    .option("--restart", "begin --out anew, whatever is there")
    .option("--no-progress", "no progress bar")
    .addHelpText("after", examples);
  // Lines of JSON are what standard output gets anyway.
  addJobFlags(command, "JSON lines, whatever --out is called").action((id: string, flags: Flags) =>
    runRemote((signal) => fetchAll(id, flags, signal)),
  );
}

async function fetchAll(id: string, flags: Flags, signal: AbortSignal): Promise<number> {
  await using client = jobsClient(flags);
  const { out, wait, restart = false } = flags;
  const before = await jobNow(client, id, signal);
  if (out === undefined) {
    for await (const result of client.jobs.results(id, { wait, signal })) {
      if (printJson(result)) continue;
      await once(process.stdout, "drain", { signal });
    }
  } else {
    const { fetchResults, resultFormatOf } = await import("./results-file.js");
    const format = resultFormatOf(flags.json === true ? "jsonl" : out);
    const identity = { command: "jobs results", arguments: { job: id, format } };
    const barOf = (rows: number): ProgressBar => {
      const bar = new ProgressBar(flags, { unit: "lines", before: rows });
      bar.total(before.lines);
      return bar;
    };
    await fetchResults(client, id, { out, format, identity, restart, wait, signal, barOf });
  }
  const job = await jobNow(client, id, signal);
  tell(jobErrors(job));
  return exitOfJob(job);
}
