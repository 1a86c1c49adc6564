/** `npm run bench -- defaults`: a server that nobody has configured, against the best fixed configuration that a search finds. */
import { availableParallelism } from "node:os";
import { parseArgs } from "node:util";
import { TempDir } from "../../test/support/temp-dir.js";
import { amountOf, countOf, usual } from "../harness/flags.js";
import { readLines } from "../serving/lines.js";
import { endExperiment, openRun, runFlags, runUsageOf } from "../serving/settings.js";
import { measureFinals, tellFinals } from "./finals.js";
import { type Fixed, layoutsToTry, readFixed } from "./fixed.js";
import { bulkPerSecond, type Work } from "./measure.js";
import { search, tryOne } from "./search.js";
import { type Place, startDefault, startFixed, type Up } from "./up.js";

const name = "defaults";
const roundsUsual = 5;
const layoutsUsual = layoutsToTry(availableParallelism()).join(",");
const usage = `npm run bench -- defaults [flags]
The default configuration, with nothing given but a port, a fresh cache and the model, so that its trial runs first, against the best fixed
one. The search measures layouts (pipelines x threads), then rows and prefetched rows with the fastest layout; the best of each measure are
measured again, in turns with the default. A configuration is written 2x1, 1+1x1 (a realtime and a bulk pipeline), 2x1:rows=128:prefetch=64.

Measured: bulk, sentences that end in a second while more of them wait than fit; realtime, single sentences that come by chance, half of
the default's throughput unless --rate says otherwise, beside such bulk and alone.

  --layouts LIST    that the search begins with (default: ${layoutsUsual})
  --fixed LIST      no search: the default against these
  --best-of N       of each measure, so many of the search are measured again (default: 2)
  --rate N          sentences a second that come by chance
  --try SECONDS     of each measurement of the search (default: 2)
  --seconds N       of each measurement after it (default: 5)
  --bulk-items N    sentences of each of the 8 bulk requests that wait (default: 500)
  --sentences FILE  one a line (default: as bench real)
%run

npm run bench -- defaults
npm run bench -- defaults --rounds 0                                        only the search
npm run bench -- defaults --fixed 2x1,2x1:rows=128,1x2 --json defaults.json --plot plots`;

const flags = {
  ...runFlags,
  layouts: { type: "string", default: layoutsUsual },
  fixed: { type: "string" },
  "best-of": { type: "string", default: "2" },
  rate: { type: "string" },
  try: { type: "string", default: "2" },
  seconds: { type: "string", default: "5" },
  "bulk-items": { type: "string", default: "500" },
  sentences: usual.seedSentences,
} as const;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: flags });
  if (values.help) return console.log(runUsageOf(usage, roundsUsual));
  const settings: Settings = {
    layouts: values.layouts.split(","),
    fixed: values.fixed === undefined ? null : values.fixed.split(",").map(readFixed),
    bestOf: countOf("best-of", values["best-of"]),
    rate: values.rate === undefined ? null : amountOf("rate", values.rate),
    trySeconds: amountOf("try", values.try),
    seconds: amountOf("seconds", values.seconds),
    bulkItems: countOf("bulk-items", values["bulk-items"]),
  };
  const fixed = settings.fixed?.map((each) => each.name) ?? "by search";
  const opened = await openRun(values, { ...settings, fixed }, { name, rounds: roundsUsual });
  const lines = readLines(values.sentences);
  await using temp = await TempDir.make();
  const dir = temp.path;
  await bench({ run: opened, lines, dir }, settings);
  await endExperiment(opened);
}

interface Settings {
  readonly layouts: readonly string[];
  /** Null: the search finds them. */
  readonly fixed: readonly Fixed[] | null;
  readonly bestOf: number;
  /** Null: half of the default's throughput. */
  readonly rate: number | null;
  readonly trySeconds: number;
  readonly seconds: number;
  readonly bulkItems: number;
}

async function bench(place: Place, settings: Settings): Promise<void> {
  const { fields, report, rounds, plotNote } = place.run;
  const { bulkItems, layouts, bestOf } = settings;
  const work: Work = { lines: place.lines, fields, ms: 1_000 * settings.trySeconds, bulkItems };
  const { up: own, chosen } = await startDefault(place);
  report.say(`default: ${chosen.layout}, ${chosen.how}`);
  const servers: Up[] = [own];
  try {
    const perSecond = settings.rate ?? (await bulkPerSecond(own, work)) / 2;
    report.say(`single sentences that come by chance: ${perSecond.toFixed(1)}/s`);
    const asked = { perSecond, seed: 1 };
    const fixed =
      settings.fixed ??
      (await search({ place, work, asked, layouts, bestOf }, await tryOne(own, work, asked)));
    if (rounds === 0) return;
    for (const each of fixed) servers.push(await startFixed(place, each));
    const longer = { ...work, ms: 1_000 * settings.seconds };
    const finals = await measureFinals(servers, rounds, { work: longer, perSecond });
    tellFinals(report, finals, plotNote);
  } finally {
    await Promise.all(servers.map(async (up) => await up[Symbol.asyncDispose]()));
  }
}
