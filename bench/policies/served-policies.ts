/** Policies held against each other through the whole server. */
import { availableParallelism } from "node:os";
import type { PolicyName } from "#src/scheduler/policy.js";
import { quantiles } from "../harness/quantiles.js";
import { atLeast, type Cell, ratios, under } from "../harness/report.js";
import { inTurns } from "../harness/rounds.js";
import type { Layout } from "../serving/layouts.js";
import { readLines } from "../serving/lines.js";
import { firstCalls, isBulk, laterCalls, scaledItems, seedsMix } from "../serving/mix-calls.js";
import { type Served, withServers } from "../serving/served.js";
import {
  type Experiment,
  endExperiment,
  openRun,
  type RunValues,
  threadsOption,
  type Variant,
} from "../serving/settings.js";
import { type Call, tellGenerator, type Wave } from "../serving/wave.js";
import { layoutOf } from "./seed-layouts.js";

export interface ServedSettings {
  readonly real: readonly number[];
  readonly callers: readonly number[];
  readonly gaps: readonly number[];
  readonly bulkItems: readonly number[];
  readonly scale: number;
}

interface Load {
  readonly name: string;
  readonly hasBulk: boolean;
  /** Who come first; their latency is not shown. */
  readonly first: readonly Call[];
  readonly later: readonly Call[];
}

interface Measured {
  readonly load: Load;
  readonly policy: string;
  readonly layout: string;
  readonly waves: readonly Wave[];
  readonly p50: readonly number[];
  readonly p99: readonly number[];
  readonly totals: readonly number[];
}

export const servedRounds = 3;
const policies = ["fcfs", "seed-router", "millrace"] as const;

export async function compareServed(
  values: RunValues & {
    readonly sentences?: string | undefined;
    readonly threads?: string | undefined;
  },
  settings: ServedSettings,
): Promise<void> {
  const variants = variantsOf(settings);
  const run = await openRun(
    values,
    {
      ...settings,
      variants: variants.map(({ name }) => name),
      threads: values.threads ?? "cores divided among the pipelines",
    },
    { name: "policies", rounds: servedRounds },
  );
  const experiment = { ...run, variants, threads: threadsOption(values.threads) };
  const lines = readLines(values.sentences);
  const loads = loadsOf(experiment, lines, settings);
  await withServers(experiment, lines, async (servers) => {
    const cases = loads.flatMap((load) =>
      policies.map((policy) => ({ load, server: serverOf(servers, policy, load.hasBulk) })),
    );
    const waves = await inTurns(cases, experiment.rounds, async ({ load, server }) => {
      return await server.ask([...load.first, ...load.later]);
    });
    const measured = cases.map((one) => measuredOf(one.load, one.server, waves.get(one) ?? []));
    tell(experiment, loads, measured);
  });
  await endExperiment(experiment);
}

/** As many as cores, so that the others have what Millrace has. */
function servedLayout(policy: PolicyName, hasBulk: boolean): Layout {
  return layoutOf(policy, Math.max(2, availableParallelism()), hasBulk);
}

/** A server for each layout that a policy has with the loads. */
function variantsOf({ real, bulkItems }: ServedSettings): readonly Variant[] {
  const haveBulk = [...new Set([...real.map(() => false), ...bulkItems.map(isBulk)])];
  const variants = policies.flatMap((policy) =>
    haveBulk.map((hasBulk): Variant => {
      const layout = servedLayout(policy, hasBulk);
      return { policy, layout, name: `${policy}, ${layout.name}` };
    }),
  );
  return [...new Map(variants.map((variant) => [variant.name, variant])).values()];
}

function serverOf(servers: readonly Served[], policy: PolicyName, hasBulk: boolean): Served {
  const layout = servedLayout(policy, hasBulk).name;
  const found = servers.find(
    ({ variant }) => variant.policy === policy && variant.layout.name === layout,
  );
  if (found === undefined) throw new Error(`no server has ${policy} with ${layout}`);
  return found;
}

function loadsOf(
  { fields }: Experiment,
  lines: readonly string[],
  { real, callers, gaps, bulkItems, scale }: ServedSettings,
): readonly Load[] {
  const { firstCallers, laterItems, laterAtMs } = seedsMix;
  const own = { lines, fields };
  const later = (count: number, atMs: number, gapMs: number): readonly Call[] =>
    laterCalls({ ...own, callers: count, items: laterItems, atMs, gapMs });
  const reals = real.map((count): Load => {
    return { name: `real ${count}`, hasBulk: false, first: [], later: later(count, 0, 0) };
  });
  const mixes = bulkItems.flatMap((items) =>
    callers.flatMap((count) =>
      gaps.map((gapMs): Load => {
        const when = gapMs === 0 ? "" : ` every ${gapMs} ms`;
        return {
          name: `mix ${firstCallers} × ${scaledItems(items, scale)}, ${count}${when}`,
          hasBulk: isBulk(items),
          first: firstCalls({ ...own, callers: firstCallers, items, scale }),
          later: later(count, laterAtMs, gapMs),
        };
      }),
    ),
  );
  return [...reals, ...mixes];
}

function measuredOf(load: Load, server: Served, waves: readonly Wave[]): Measured {
  const later = waves.map(({ answered }) =>
    quantiles(answered.slice(load.first.length).map(({ ms }) => ms)),
  );
  return {
    load,
    policy: server.variant.policy,
    layout: server.variant.layout.name,
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
    columns: [
      "workload",
      "policy",
      "pipelines",
      "p50 ms",
      "p99 ms",
      "total ms",
      "bulk sentences/s",
    ],
    rows: measured.map((one): readonly Cell[] => [
      one.load.name,
      one.policy,
      one.layout,
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
