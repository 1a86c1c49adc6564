/** Policies held against each other by simulation. */
import { pipelinesOf } from "#src/plan/seed-pipelines.js";
import type { PolicyName } from "#src/scheduler/policy.js";
import { recording } from "../../test/sim/recorded-runs.js";
import { beginReport } from "../harness/begin-report.js";
import { finish } from "../harness/finish.js";
import { atLeast, type Report, under } from "../harness/report.js";

import { type SimulationFigures, simulate } from "./simulation.js";
import { crowdWorkload, mixWorkload, realWorkload, type Workload } from "./workloads.js";

export interface SimulatedSettings {
  readonly real: readonly number[];
  readonly callers: readonly number[];
  readonly gaps: readonly number[];
  readonly bulkItems: readonly number[];
  readonly crowdCallers: number;
  readonly crowdItems: number;
  readonly pipelines: number;
  readonly rowsMax: number;
}

const policies: readonly PolicyName[] = ["fcfs", "seed-router", "millrace"];
/** Of a pipeline on the recorded times: only for how long the crowd's realtime callers come. */
const itemsPerSecond = 350;

export async function compareSimulated(
  files: { readonly json?: string | undefined; readonly plot?: string | undefined },
  settings: SimulatedSettings,
): Promise<void> {
  const { report, machine } = beginReport("policies, simulated");
  report.say(`costs: ${recording.source}`);
  report.say(`settings: ${JSON.stringify(settings)}`);
  const rows: string[][] = [];
  for (const workload of workloads(settings)) {
    const all = new Map(policies.map((policy) => [policy, figuresOf(workload, policy, settings)]));
    for (const [policy, figures] of all) rows.push([workload.name, policy, ...cells(figures)]);
    holdAgainstTargets(report, workload, all);
  }
  report.table({
    title:
      "simulated time; padding: of the encoder's computed tokens, while 1,000 items or more wait, the same if chunks were padded to their widest item and no further, and over all",
    columns: [
      "workload",
      "policy",
      "callers of 8: p50 ms",
      "p99 ms",
      "total ms",
      "tokens/s",
      "padding, 1,000 wait",
      "to the widest",
      "padding",
      "rows of a step",
    ],
    rows,
  });
  const facts = { name: "policies", costs: recording.source, settings };
  await finish(report, { machine, facts, jsonFile: files.json, plotDir: files.plot });
}

function workloads(of: SimulatedSettings): readonly Workload[] {
  const mixes = of.bulkItems.flatMap((firstItems) =>
    of.callers.flatMap((callers) =>
      of.gaps.map((gapMs) => mixWorkload({ firstItems, callers, gapMs })),
    ),
  );
  const { crowdCallers: callers, crowdItems: items, pipelines } = of;
  const crowd = { callers, items, itemsPerSecond: itemsPerSecond * pipelines };
  return [...of.real.map(realWorkload), ...mixes, ...(items > 0 ? [crowdWorkload(crowd)] : [])];
}

function figuresOf(
  workload: Workload,
  policy: PolicyName,
  { pipelines, rowsMax }: SimulatedSettings,
): SimulationFigures {
  const hasBulk = workload.calls.some((call) => call.class === "bulk");
  const kinds = pipelinesOf(policy, pipelines, hasBulk);
  return simulate(workload, { policy, pipelines: kinds, rowsMax });
}

function cells({ few, totalMs, tokensPerSecond, ...shares }: SimulationFigures): string[] {
  const percent = (share: number): string => `${(100 * share).toFixed(1)}%`;
  return [
    few.p50Ms.toFixed(0),
    few.p99Ms.toFixed(0),
    totalMs.toFixed(0),
    tokensPerSecond.toFixed(0),
    shares.paddingFull === 0 ? "" : percent(shares.paddingFull),
    shares.paddingTight === 0 ? "" : percent(shares.paddingTight),
    percent(shares.padding),
    percent(shares.fullness),
  ];
}

function holdAgainstTargets(
  report: Report,
  { name }: Workload,
  all: ReadonlyMap<PolicyName, SimulationFigures>,
): void {
  const [own, seeds] = [all.get("millrace"), all.get("seed-router")];
  if (own === undefined || seeds === undefined) return;
  const p99 = own.few.p99Ms / seeds.few.p99Ms;
  report.add(`${name}: p99, millrace / seed-router`, [p99], { target: under(0.2) });
  const total = seeds.totalMs / own.totalMs;
  report.add(`${name}: as fast as seed-router`, [total], { target: atLeast(1.3) });
  if (own.paddingFull > 0)
    report.add(`${name}: padding with 1,000 waiting`, [own.paddingFull], { target: under(0.05) });
}
