/**
 * `npm run bench -- policies`: first come first served, the router of the seeds as their text has it, and Millrace's own, on the same
 * engine: through the whole server, or by simulation.
 */
import { parseArgs } from "node:util";
import { amountOf, amountsOf, countOf, countsOf, usual } from "../harness/flags.js";
import { runFlags, runUsageOf } from "../serving/settings.js";
import { compareServed, servedRounds } from "./served-policies.js";
import { compareSimulated } from "./simulated-policies.js";

const usage = `npm run bench -- policies [flags]
Three policies on the same engine. millrace and fcfs have shared pipelines; seed-router has half of them for realtime and half for bulk, and all
of them for realtime where there is no bulk, as the seeds had, sends packs of 64 by time of arrival + 10 ms for each item of the request, waits up
to 100 ms for one to fill, and gives a pipeline the next when all of it has ended.
Workloads: real (callers of 8, all at once), and mix (4 callers with 1,000 come first, then callers of 8, at once or one after the other).

  --real LIST       callers; an empty list leaves it out (default: 16,128)
  --callers LIST    of mix, who come after the first (default: 8,24,48)
  --gaps LIST       ms between two of those (default: 0,100)
  --bulk-items LIST of each who comes first; below 256 it is realtime as well; empty: no mix (default: 1000,128)
  --scale X         of those, for a short run; they keep their class (default: 1)
  --sentences FILE  one a line (default: as bench mix)
  --threads N       of each pipeline, of which there are as many as cores, two at least (default: the cores, divided among them)

  --simulate        the scheduler and the engine's choosing on recorded times of the model, without processes; then also
  --crowd-callers N half of them queue bulk at once, half come by chance (default: 10000)
  --crowd-items N   of all of them together (default: 1000000)
  --pipelines N     of the simulation (default: 4)
  --rows N          of each (default: 64)
%run

npm run bench -- policies --real 16 --callers 24 --bulk-items 1000 --rounds 3
npm run bench -- policies --simulate --crowd-items 100000 --json policies.json`;

export const flags = {
  ...runFlags,
  real: { type: "string", default: "16,128" },
  callers: { type: "string", default: "8,24,48" },
  gaps: { type: "string", default: "0,100" },
  "bulk-items": { type: "string", default: "1000,128" },
  scale: usual.scale,
  sentences: usual.seedSentences,
  threads: { type: "string" },
  simulate: { type: "boolean", default: false },
  "crowd-callers": { type: "string", default: "10000" },
  "crowd-items": { type: "string", default: "1000000" },
  pipelines: { type: "string", default: "4" },
  rows: usual.rows,
} as const;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: flags });
  if (values.help) return console.log(runUsageOf(usage, servedRounds));
  const lists = {
    real: values.real === "" ? [] : countsOf("real", values.real),
    callers: countsOf("callers", values.callers),
    gaps: amountsOf("gaps", values.gaps),
    bulkItems: values["bulk-items"] === "" ? [] : countsOf("bulk-items", values["bulk-items"]),
  };
  if (!values.simulate)
    return await compareServed(values, { ...lists, scale: amountOf("scale", values.scale) });
  await compareSimulated(values, {
    ...lists,
    crowdCallers: countOf("crowd-callers", values["crowd-callers"]),
    crowdItems: countOf("crowd-items", values["crowd-items"], 0),
    pipelines: countOf("pipelines", values.pipelines),
    rowsMax: countOf("rows", values.rows),
  });
}
