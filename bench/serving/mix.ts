/**
 * `npm run bench -- mix`: the seeds' mixed experiment. A few callers with many sentences come first, many callers with a few come
 * after them; each class alone as well, so that what they cost each other shows.
 */
import { parseArgs } from "node:util";
import { amountOf, countOf, countsOf, usual } from "../harness/flags.js";
import { spread } from "../harness/machine.js";
import { quantiles } from "../harness/quantiles.js";
import { atLeast, type Cell, type Report, ratios, type Target, under } from "../harness/report.js";
import { inTurns } from "../harness/rounds.js";
import { readLines } from "./lines.js";
import { firstCalls, isBulk, laterCalls, scaledItems, seedsMix } from "./mix-calls.js";
import { type Served, withServers } from "./served.js";
import {
  commonFlags,
  type Experiment,
  endExperiment,
  openExperiment,
  ownLayout,
  usageOf,
} from "./settings.js";
import { type Answered, sumOf, tellGenerator, type Wave } from "./wave.js";

const defaults = { name: "mix", layouts: `${ownLayout()},2+2`, rounds: 3 };
const usage = `npm run bench -- mix [flags]
The seeds' mixed experiment through the whole server: 4 callers with 1,000 sentences come first, then 8, 24 or 48 callers with 8; then the
same with 4 × 128, which is below the bulk threshold (256), so that all of it is realtime. They had 2 realtime and 2 bulk pipelines.

  --bulk-callers N  (default: 4)
  --bulk-items LIST sentences of each (default: 1000,128)
  --callers LIST    that come after them (default: 8,24,48)
  --items N         sentences of each (default: 8)
  --after MS        between the first and those that come after them (default: 500)
  --gap MS          between two of those (default: 0, all at once)
  --scale X         of the sentences of those who come first, for a short run; they keep their class (default: 1)
  --sentences FILE  one a line (default: the seeds' data_1k.txt where it lies beside the checkout, else models/calibration.en.txt)
%common

npm run bench -- mix --scale 0.2 --rounds 3
npm run bench -- mix --layouts 2,1+1 --bulk-items 1000 --callers 24 --json mix.json --plot plots`;

const flags = {
  ...commonFlags,
  "bulk-callers": { type: "string", default: String(seedsMix.firstCallers) },
  "bulk-items": { type: "string", default: "1000,128" },
  callers: { type: "string", default: "8,24,48" },
  items: { type: "string", default: String(seedsMix.laterItems) },
  after: { type: "string", default: String(seedsMix.laterAtMs) },
  gap: { type: "string", default: "0" },
  scale: usual.scale,
  sentences: usual.seedSentences,
} as const;

interface Load {
  readonly bulkCallers: number;
  readonly items: number;
  readonly afterMs: number;
  readonly gapMs: number;
  readonly scale: number;
}

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: flags });
  if (values.help) return console.log(usageOf(usage, defaults));
  const load: Load = {
    bulkCallers: countOf("bulk-callers", values["bulk-callers"]),
    items: countOf("items", values.items),
    afterMs: amountOf("after", values.after),
    gapMs: amountOf("gap", values.gap),
    scale: amountOf("scale", values.scale),
  };
  const sizes = countsOf("bulk-items", values["bulk-items"]);
  const callers = countsOf("callers", values.callers);
  const experiment = await openExperiment(values, { ...load, sizes, callers }, defaults);
  const lines = readLines(values.sentences);
  await withServers(experiment, lines, async (servers) => {
    await bench({ experiment, servers, lines, load, sizes, callers });
  });
  await endExperiment(experiment);
}

interface Bench {
  readonly experiment: Experiment;
  readonly servers: readonly Served[];
  readonly lines: readonly string[];
  readonly load: Load;
  readonly sizes: readonly number[];
  readonly callers: readonly number[];
}

/** One of the two is missing where the other is measured alone. */
interface Case {
  readonly server: Served;
  /** Sentences of each of those who come first, before scaling; 0: nobody comes first. */
  readonly bulkItems: number;
  /** Who come after them. */
  readonly callers: number;
}

interface Measured {
  readonly waves: readonly Wave[];
  readonly p50: readonly number[];
  readonly p99: readonly number[];
  /** Of those who come after, over all rounds. */
  readonly latencies: readonly number[];
  readonly tokensPerSecond: readonly number[];
  readonly bulkPerSecond: readonly number[];
}

async function bench(of: Bench): Promise<void> {
  const { experiment, servers, sizes, callers } = of;
  const { report } = experiment;
  const cases = servers.flatMap((server) => [
    ...callers.map((count): Case => ({ server, bulkItems: 0, callers: count })),
    ...sizes.flatMap((bulkItems) =>
      [0, ...callers].map((count): Case => ({ server, bulkItems, callers: count })),
    ),
  ]);
  const waves = await inTurns(cases, experiment.rounds, async (one) => {
    return await one.server.ask(callsOf(of, one));
  });
  const measured = new Map(cases.map((one) => [one, measuredOf(of, one, waves.get(one) ?? [])]));
  for (const bulkItems of sizes) tell(of, bulkItems, measured);
  for (const [one, { latencies }] of measured) {
    if (one.callers > 0) report.latencies(titleOf(of, one), latencies);
  }
  tellGenerator(
    report,
    [...measured.values()].flatMap((each) => each.waves),
  );
}

function callsOf({ experiment, lines, load }: Bench, { bulkItems, callers }: Case) {
  const own = { lines, fields: experiment.fields };
  const { bulkCallers, items, afterMs: atMs, gapMs, scale } = load;
  const first = bulkItems === 0 ? 0 : bulkCallers;
  return [
    ...firstCalls({ ...own, callers: first, items: bulkItems, scale }),
    ...laterCalls({ ...own, callers, items, atMs, gapMs }),
  ];
}

function measuredOf({ load }: Bench, one: Case, waves: readonly Wave[]): Measured {
  const first = one.bulkItems === 0 ? 0 : load.bulkCallers;
  const later = waves.map(({ answered }) => answered.slice(first).map(({ ms }) => ms));
  const bulk = waves.map(({ answered }) => answered.slice(0, first));
  return {
    waves,
    p50: later.map((each) => quantiles(each).p50Ms),
    p99: later.map((each) => quantiles(each).p99Ms),
    latencies: later.flat(),
    tokensPerSecond: waves.map(({ outputTokens, totalMs }) => (1_000 * outputTokens) / totalMs),
    bulkPerSecond: bulk.map(tokensPerSecondOf),
  };
}

function tokensPerSecondOf(answered: readonly Answered[]): number {
  const tokens = sumOf(answered.map(({ outputTokens }) => outputTokens));
  return (1_000 * tokens) / Math.max(...answered.map(({ endMs }) => endMs));
}

function titleOf({ load }: Bench, { server, bulkItems, callers }: Case): string {
  const first = bulkItems === 0 ? "alone" : `after ${load.bulkCallers} × ${bulkItems}`;
  return `${callers} callers of ${load.items} ${first}, ${server.variant.name}`;
}

/** What is printed of those who come first with so many sentences: one table, the targets, and the plot. */
function tell(of: Bench, bulkItems: number, measured: ReadonlyMap<Case, Measured>): void {
  const { experiment, servers, load, callers } = of;
  const { report } = experiment;
  const found = (server: Served, items: number, count: number): Measured => {
    const isIt = (one: Case): boolean =>
      one.server === server && one.bulkItems === items && one.callers === count;
    const [, result] = [...measured].find(([one]) => isIt(one)) ?? [];
    if (result === undefined) throw new Error("this was not measured");
    return result;
  };
  const pairs = servers.flatMap((server) =>
    callers.map((count): Pair => {
      const [both, quiet] = [found(server, bulkItems, count), found(server, 0, count)];
      return { server, callers: count, both, quiet, first: found(server, bulkItems, 0) };
    }),
  );
  const hasBulk = isBulk(bulkItems);
  report.table({
    title: `${load.bulkCallers} × ${scaledItems(bulkItems, load.scale)} (${hasBulk ? "bulk" : "realtime as well"}), ${load.afterMs} ms later callers of ${load.items}`,
    columns: [...laterColumns, ...(hasBulk ? bulkColumns : [])],
    rows: pairs.map((pair) => [...laterCells(pair), ...(hasBulk ? bulkCells(pair) : [])]),
  });
  if (hasBulk) holdAgainstTargets(report, pairs);
  plot(of, bulkItems, pairs);
}

/** The same callers beside bulk and without it, and bulk without them. */
interface Pair {
  readonly server: Served;
  readonly callers: number;
  readonly both: Measured;
  readonly quiet: Measured;
  readonly first: Measured;
}

const laterColumns = [
  "callers",
  "pipelines",
  "total ms",
  "p50 ms",
  "p99 ms",
  "p99 alone, ms",
  "p99 / alone",
];
const bulkColumns = ["bulk tokens/s", "all tokens/s", "bulk alone, tokens/s", "all / bulk alone"];

function laterCells({ server, callers, both, quiet }: Pair): readonly Cell[] {
  return [
    String(callers),
    server.variant.name,
    both.waves.map(({ totalMs }) => totalMs),
    both.p50,
    both.p99,
    quiet.p99,
    ratios(both.p99, quiet.p99),
  ];
}

function bulkCells({ both, first }: Pair): readonly Cell[] {
  return [
    both.bulkPerSecond,
    both.tokensPerSecond,
    first.tokensPerSecond,
    ratios(both.tokensPerSecond, first.tokensPerSecond),
  ];
}

/** They are said of shared pipelines under our own policy; of the others the same figures are told. */
function holdAgainstTargets(report: Report, pairs: readonly Pair[]): void {
  report.say("");
  for (const { server, callers, both, quiet, first } of pairs) {
    if (!server.variant.layout.isShared) continue;
    const { name, policy } = server.variant;
    const title = `${name}, ${callers} callers`;
    const held = (target: Target) => ({ target: policy === "millrace" ? target : null });
    report.add(
      `${title}: realtime p99 / its p99 with no bulk`,
      ratios(both.p99, quiet.p99),
      held(under(2)),
    );
    const kept = ratios(both.tokensPerSecond, first.tokensPerSecond);
    report.add(`${title}: bulk and realtime tokens/s / bulk alone`, kept, held(atLeast(0.9)));
  }
}

function plot(
  { experiment, servers, load, callers }: Bench,
  bulkItems: number,
  pairs: readonly Pair[],
): void {
  const { report, plotNote } = experiment;
  const items = scaledItems(bulkItems, load.scale);
  report.plot({
    name: `mix-${bulkItems}-p99`,
    title: `${load.bulkCallers} × ${items} sentences come first: p99 of the callers of ${load.items} that come then`,
    note: plotNote,
    mark: "bars",
    x: { label: "callers", categories: callers.map(String) },
    y: { label: "ms", scale: "linear" },
    series: servers.flatMap((server) => {
      const own = pairs.filter((pair) => pair.server === server);
      const points = (of: "both" | "quiet") => own.map((pair) => spread(pair[of].p99));
      const { name } = server.variant;
      return [
        { name: `${name}, without the first`, points: points("quiet") },
        { name, points: points("both") },
      ];
    }),
  });
}
