import { availableParallelism } from "node:os";
import { atLeast, type Cell, ratios, under } from "../harness/report.js";
import { inTurns } from "../harness/rounds.js";
import { quantiles } from "../quantiles.js";
import { readLayout } from "../serving/layouts.js";
import { readLines, takeLines } from "../serving/lines.js";
import { type Served, withServers } from "../serving/served.js";
import {
  type CommonValues,
  type Experiment,
  endExperiment,
  openExperiment,
  type Variant,
} from "../serving/settings.js";
import { type Call, tellGenerator, type Wave } from "../serving/wave.js";

export interface ServedSettings {
  readonly real: readonly number[];
  readonly callers: readonly number[];
  readonly gaps: readonly number[];
  readonly bulkItems: readonly number[];
  readonly scale: number;
}

interface Load {
  readonly name: string;
  /** Who come first; their latency is not shown. */
  readonly first: readonly Call[];
  readonly later: readonly Call[];
}

interface Measured {
  readonly load: Load;
  readonly policy: string;
  readonly waves: readonly Wave[];
  readonly p50: readonly number[];
  readonly p99: readonly number[];
  readonly totals: readonly number[];
}

/** Below it a request is realtime where it does not say what it is. */
const bulkThreshold = 256;
const firstCallers = 4;
const laterItems = 8;
const laterAtMs = 500;

export async function compareServed(
  values: CommonValues & { readonly sentences?: string | undefined },
  settings: ServedSettings,
): Promise<void> {
  const pipelines = Math.max(2, availableParallelism());
  const defaults = { name: "policies", layouts: String(pipelines), rounds: 3 };
  const opened = await openExperiment(values, { ...settings }, defaults);
  const experiment = { ...opened, variants: variantsOf(pipelines) };
  const lines = readLines(values.sentences);
  const loads = loadsOf(experiment, lines, settings);
  await withServers(experiment, lines, async (servers) => {
    const cases = loads.flatMap((load) => servers.map((server) => ({ load, server })));
    const waves = await inTurns(cases, experiment.rounds, async ({ load, server }) => {
      return await server.ask([...load.first, ...load.later]);
    });
    const measured = cases.map((one) => measuredOf(one.load, one.server, waves.get(one) ?? []));
    tell(experiment, loads, measured);
  });
  await endExperiment(experiment);
}

function variantsOf(pipelines: number): readonly Variant[] {
  const shared = readLayout(String(pipelines));
  const half = Math.floor(pipelines / 2);
  const apart = readLayout(`${pipelines - half}+${half}`);
  return [
    { policy: "fcfs", layout: shared, name: "fcfs" },
    { policy: "seed-router", layout: apart, name: "seed-router" },
    { policy: "millrace", layout: shared, name: "millrace" },
  ];
}

function loadsOf(
  { fields }: Experiment,
  lines: readonly string[],
  { real, callers, gaps, bulkItems, scale }: ServedSettings,
): readonly Load[] {
  const later = (count: number, atMs: number, gapMs: number): readonly Call[] =>
    Array.from({ length: count }, (_, at) => ({
      dueMs: atMs + gapMs * at,
      texts: takeLines(lines, at * laterItems, laterItems),
      fields,
    }));
  const scaled = (count: number): number => Math.max(1, Math.round(scale * count));
  const first = (count: number): readonly Call[] => {
    const items = scaled(count);
    const own = count < bulkThreshold ? fields : { ...fields, class: "bulk" as const };
    return Array.from({ length: firstCallers }, (_, at) => {
      return { dueMs: 0, texts: takeLines(lines, at * items, items), fields: own };
    });
  };
  return [
    ...real.map((count) => ({ name: `real ${count}`, first: [], later: later(count, 0, 0) })),
    ...bulkItems.flatMap((items) =>
      callers.flatMap((count) =>
        gaps.map((gapMs) => ({
          name: `mix ${firstCallers} × ${scaled(items)}, ${count}${gapMs === 0 ? "" : ` every ${gapMs} ms`}`,
          first: first(items),
          later: later(count, laterAtMs, gapMs),
        })),
      ),
    ),
  ];
}

function measuredOf(load: Load, server: Served, waves: readonly Wave[]): Measured {
  const later = waves.map(({ answered }) =>
    quantiles(answered.slice(load.first.length).map(({ ms }) => ms)),
  );
  return {
    load,
    policy: server.variant.name,
    waves,
    p50: later.map(({ p50Ms }) => p50Ms),
    p99: later.map(({ p99Ms }) => p99Ms),
    totals: waves.map(({ totalMs }) => totalMs),
  };
}

function tell({ report }: Experiment, loads: readonly Load[], measured: readonly Measured[]): void {
  report.table({
    title:
      "callers of 8: from when a request was due to its reply; total: to the last reply of all",
    columns: ["workload", "policy", "p50 ms", "p99 ms", "total ms", "bulk sentences/s"],
    rows: measured.map((one): readonly Cell[] => [
      one.load.name,
      one.policy,
      one.p50,
      one.p99,
      one.totals,
      one.load.first.length === 0 ? "" : one.waves.map((wave) => bulkPerSecond(one.load, wave)),
    ]),
  });
  report.say("");
  for (const load of loads) {
    const of = (policy: string) => measured.find((m) => m.load === load && m.policy === policy);
    const [own, seeds] = [of("millrace"), of("seed-router")];
    if (own === undefined || seeds === undefined) continue;
    const p99 = ratios(own.p99, seeds.p99);
    report.add(`${load.name}: p99, millrace / seed-router`, p99, { target: under(0.2) });
    const total = ratios(seeds.totals, own.totals);
    report.add(`${load.name}: as fast as seed-router`, total, { target: atLeast(1.3) });
  }
  tellGenerator(
    report,
    measured.flatMap(({ waves }) => waves),
  );
}

function bulkPerSecond({ first }: Load, { answered }: Wave): number {
  const sentences = first.reduce((sum, { texts }) => sum + texts.length, 0);
  const endMs = Math.max(...answered.slice(0, first.length).map((each) => each.endMs));
  return (1_000 * sentences) / endMs;
}
