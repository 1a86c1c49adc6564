/** READ FIRST of src/cli/jobs. `millrace jobs`: work that the server keeps until it is fetched. One file a subcommand. */
import type { Command } from "commander";
import { registerCancel, registerRemove } from "./jobs/end.js";
import { registerList } from "./jobs/list.js";
import { registerResults } from "./jobs/results.js";
import { registerJobStatus } from "./jobs/status.js";
import { registerSubmit } from "./jobs/submit.js";
import { registerWatch } from "./jobs/watch.js";

const examples = `
Examples:
  $ millrace jobs submit --task translate --datafile big.txt      prints the id
  $ millrace jobs watch $id                          Ctrl-C leaves it running
  $ millrace jobs results $id --out big.zh.txt       again: goes on where the file ends
  $ millrace jobs remove $id
`;

export function registerJobs(program: Command): void {
  const jobs = program
    .command("jobs")
    .summary("work that survives: submit it, fetch results later")
    .description(
      "Durable jobs: the server keeps what was submitted and what is done, whatever dies meanwhile. It needs --data or --nats.",
    )
    .addHelpText("after", examples);
  registerSubmit(jobs);
  registerList(jobs);
  registerJobStatus(jobs);
  registerWatch(jobs);
  registerResults(jobs);
  registerCancel(jobs);
  registerRemove(jobs);
}
