/** `npm run bench -- real`: the seeds' realtime experiment, many callers with a few sentences each, all at once. */
import { parseArgs } from "node:util";
import { countOf, countsOf, usual } from "../harness/flags.js";
import { spread } from "../harness/machine.js";
import { quantiles } from "../harness/quantiles.js";
import { inTurns } from "../harness/rounds.js";
import { readLines, takeLines } from "./lines.js";
import { type Served, withServers } from "./served.js";
import {
  commonFlags,
  type Experiment,
  endExperiment,
  openExperiment,
  ownLayout,
  usageOf,
} from "./settings.js";
import { tellGenerator, type Wave } from "./wave.js";

const defaults = { name: "real", layouts: `${ownLayout()},4`, rounds: 5 };
const usage = `npm run bench -- real [flags]
The seeds' realtime experiment through the whole server: so many callers with 8 sentences each, all at once. They had 4 realtime pipelines
and no bulk ones, on a GPU; here a pipeline is a process, and as many as there are cores are measured beside 4 (with no bulk work, shared
pipelines are realtime ones).

  --callers LIST    (default: 16,32,64,128)
  --items N         sentences of a caller (default: 8)
  --sentences FILE  one a line (default: the seeds' data_1k.txt where it lies beside the checkout, else models/calibration.en.txt)
%common

npm run bench -- real --callers 16,64 --rounds 3
npm run bench -- real --policies millrace,fcfs,seed-router --layouts 2 --json real.json --plot plots`;

const flags = {
  ...commonFlags,
  callers: { type: "string", default: "16,32,64,128" },
  items: { type: "string", default: "8" },
  sentences: usual.seedSentences,
} as const;

export async function run(args: readonly string[]): Promise<void> {
  const { values } = parseArgs({ args: [...args], options: flags });
  if (values.help) return console.log(usageOf(usage, defaults));
  const callers = countsOf("callers", values.callers);
  const items = countOf("items", values.items);
  const experiment = await openExperiment(values, { callers, items }, defaults);
  const lines = readLines(values.sentences);
  await withServers(experiment, lines, async (servers) => {
    await bench({ experiment, servers, lines, callers, items });
  });
  await endExperiment(experiment);
}

interface Bench {
  readonly experiment: Experiment;
  readonly servers: readonly Served[];
  readonly lines: readonly string[];
  readonly callers: readonly number[];
  readonly items: number;
}

interface Measured {
  readonly callers: number;
  readonly server: Served;
  /** One of each round. */
  readonly waves: readonly Wave[];
}

async function bench(of: Bench): Promise<void> {
  const { experiment, servers, lines, callers, items } = of;
  const cases = callers.flatMap((count) => servers.map((server) => ({ count, server })));
  const waves = await inTurns(cases, experiment.rounds, async ({ count, server }) => {
    const calls = Array.from({ length: count }, (_, at) => ({
      dueMs: 0,
      texts: takeLines(lines, at * items, items),
      fields: experiment.fields,
    }));
    return await server.ask(calls);
  });
  const measured = cases.map((each) => ({
    callers: each.count,
    server: each.server,
    waves: waves.get(each) ?? [],
  }));
  tell(of, measured);
}

function tell({ experiment, items }: Bench, measured: readonly Measured[]): void {
  const { report } = experiment;
  report.table({
    title: `${items} sentences a caller, all callers at once`,
    columns: [
      "callers",
      "pipelines",
      "total ms",
      "ms a sentence",
      "sentences/s",
      "p50 ms",
      "p90 ms",
      "p99 ms",
      "max ms",
    ],
    rows: measured.map(({ callers, server, waves }) => {
      const times = waves.map(({ answered }) => quantiles(answered.map(({ ms }) => ms)));
      return [
        String(callers),
        server.variant.name,
        waves.map(({ totalMs }) => totalMs),
        waves.map(({ totalMs, sentences }) => totalMs / sentences),
        waves.map(({ totalMs, sentences }) => (1_000 * sentences) / totalMs),
        times.map(({ p50Ms }) => p50Ms),
        times.map(({ p90Ms }) => p90Ms),
        times.map(({ p99Ms }) => p99Ms),
        times.map(({ maxMs }) => maxMs),
      ];
    }),
  });
  for (const { callers, server, waves } of measured) {
    const all = waves.flatMap(({ answered }) => answered.map(({ ms }) => ms));
    report.latencies(`${callers} callers, ${server.variant.name}`, all);
  }
  tellGenerator(
    report,
    measured.flatMap(({ waves }) => waves),
  );
  plot(experiment, measured);
}

function plot({ report, plotNote }: Experiment, measured: readonly Measured[]): void {
  const counts = [...new Set(measured.map(({ callers }) => callers))];
  const names = [...new Set(measured.map(({ server }) => server.variant.name))];
  const drawn = (name: string, title: string, valueOf: (wave: Wave) => number) => {
    report.plot({
      name,
      title,
      note: plotNote,
      mark: "lines",
      x: { label: "callers", categories: counts.map(String) },
      y: { label: "ms", scale: "log" },
      series: names.map((each) => ({
        name: each,
        points: counts.map((count) => {
          const of = measured.find(
            (one) => one.callers === count && one.server.variant.name === each,
          );
          return of === undefined ? null : spread(of.waves.map(valueOf));
        }),
      })),
    });
  };
  drawn("real-total", "All callers at once: until the last answer", ({ totalMs }) => totalMs);
  drawn(
    "real-p99",
    "All callers at once: p99 of a caller",
    ({ answered }) => quantiles(answered.map(({ ms }) => ms)).p99Ms,
  );
}
