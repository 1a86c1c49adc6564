/**
 * `npm run bench -- jobs`: what it costs to do work as a durable job, and what is left of one whose server is killed again and again.
 * Servers are whole processes of the command, with a data folder of their own.
 */
import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { TempDir } from "../../test/support/temp-dir.js";
import { beginReport } from "../harness/begin-report.js";
import { finish } from "../harness/finish.js";
import { amountOf, countOf, usual } from "../harness/flags.js";
import { benchAccept, benchMemory } from "./accept.js";
import { benchRestart } from "./restart.js";
import { openServeJobs } from "./serve-jobs.js";
import type { JobsSettings } from "./settings.js";
import { benchStorm } from "./storm.js";
import { benchThroughput } from "./throughput.js";

const usage = `npm run bench -- jobs [flags]
  --parts LIST     of throughput, ceiling, accept, memory, restart, storm (default: all)
  --lines N        of a job (default: 20000)
  --real-lines N   of a job that the bundled model runs (default: 2000)
  --million N      lines of the job whose memory is looked at, in millions (default: 10)
  --rounds N       (default: 5)
  --seconds N      how long that job is run at most; one that ends is read as well (default: 3600)
  --kills N        in the storm, while its job runs (default: 50)
  --real           the storm's workers run the bundled model
  --factor N       of the recorded times of a model's runs (default: 1)
  --pipelines N    (default: 2)
  --seed N         (default: 1)
  --dir DIR        where data lies (default: a folder of the system's for temporary files)
  --json FILE      the figures as JSON`;

const flags = {
  parts: { type: "string", default: "throughput,ceiling,accept,memory,restart,storm" },
  lines: { type: "string", default: "20000" },
  "real-lines": { type: "string", default: "2000" },
  million: { type: "string", default: "10" },
  rounds: usual.rounds,
  seconds: { type: "string", default: "3600" },
  kills: { type: "string", default: "50" },
  real: { type: "boolean", default: false },
  factor: { type: "string", default: "1" },
  pipelines: { type: "string", default: "2" },
  seed: usual.seed,
  dir: { type: "string", default: tmpdir() },
  json: usual.json,
  help: usual.help,
} as const;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: flags });
  if (values.help) return console.log(usage);
  const { report, machine } = beginReport();
  await using temp = await TempDir.make(values.dir);
  const parent = temp.path;
  const settings: JobsSettings = {
    report,
    parent,
    rounds: countOf("rounds", values.rounds),
    ms: 1_000 * amountOf("seconds", values.seconds),
    lines: countOf("lines", values.lines),
    seed: countOf("seed", values.seed, 0),
    factor: amountOf("factor", values.factor),
    pipelines: countOf("pipelines", values.pipelines),
  };
  const parts = new Set(values.parts.split(","));
  const serve = await openServeJobs(settings);
  if (parts.has("throughput")) {
    const lines = countOf("real-lines", values["real-lines"]);
    await benchThroughput({ ...settings, lines }, serve, "real");
  }
  if (parts.has("ceiling")) {
    await benchThroughput(settings, serve, "timed");
    await benchThroughput(settings, serve, "instant");
  }
  if (parts.has("accept")) await benchAccept(settings, serve);
  if (parts.has("memory"))
    await benchMemory(settings, serve, 1e6 * amountOf("million", values.million));
  if (parts.has("restart")) await benchRestart(settings, serve);
  if (parts.has("storm")) {
    const workers = values.real ? "real" : "timed";
    await benchStorm(settings, serve, { kills: countOf("kills", values.kills, 0), workers });
  }
  await finish(report, { machine, facts: { settings: values }, jsonFile: values.json });
}
