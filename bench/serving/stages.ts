/**
 * `npm run bench -- stages`: where the work is done. Tokens made on the caller's side or ours; encoder and decoder in one process, as
 * they are, or in two, as the seeds had them.
 */
import { parseArgs } from "node:util";
import { countOf, usual } from "../harness/flags.js";
import { readLines } from "./lines.js";
import { withServers } from "./served.js";
import { commonFlags, endExperiment, openExperiment, ownLayout, usageOf } from "./settings.js";
import { benchSplit } from "./stages-split.js";
import { benchTokens } from "./stages-tokens.js";

const defaults = { name: "stages", layouts: ownLayout(), rounds: 5 };
const usage = `npm run bench -- stages [flags]
Two questions of the seeds about where to cut. tokens: the caller sends token ids ("model partition") or text. split: encoder and decoder in
one process, as Millrace has them, or in two, as the seeds had: what would go from one to the other is sent over a socket, and the rest
is reckoned from the time that each stage takes.

  --parts LIST      of tokens, split (default: both)
  --count N         sentences a round (default: 1000)
  --batch N         of a request, all requests at once (default: 64)
  --sentences FILE  one a line (default: the seeds' data_1k.txt where it lies beside the checkout, else models/calibration.en.txt)
%common

npm run bench -- stages --count 200 --rounds 3
npm run bench -- stages --parts split --beams 3 --json stages.json`;

const flags = {
  ...commonFlags,
  parts: { type: "string", default: "tokens,split" },
  count: { type: "string", default: "1000" },
  batch: { type: "string", default: "64" },
  sentences: usual.seedSentences,
} as const;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: flags });
  if (values.help) return console.log(usageOf(usage, defaults));
  const parts = new Set(values.parts.split(","));
  const size = { count: countOf("count", values.count), batch: countOf("batch", values.batch) };
  const experiment = await openExperiment(values, { parts: values.parts, ...size }, defaults);
  const lines = readLines(values.sentences);
  await withServers(experiment, lines, async (servers) => {
    for (const server of servers) {
      const bench = { experiment, server, lines, ...size };
      if (parts.has("tokens")) await benchTokens(bench);
      if (parts.has("split")) await benchSplit(bench);
    }
  });
  await endExperiment(experiment);
}
