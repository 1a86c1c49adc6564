/** One row of the table: both sides in turns, so that both are measured on the same machine, whatever else it does. */

import { hashOf } from "../../harness/machine.js";
import { processTimeMs } from "../../harness/process-time.js";
import { atLeast, type Report, ratios } from "../../harness/report.js";
import { inTurns } from "../../harness/rounds.js";
import type { TurnResult } from "../turn.js";
import type { CaseSpec } from "./case-spec.js";
import type { Fleet, NamedProcesses } from "./fleet.js";

export interface CaseRun {
  readonly report: Report;
  readonly fleet: Fleet;
  /** Of the precision and the set of sentences. */
  readonly title: string;
  readonly count: number;
  readonly rounds: number;
  readonly rowsMax: number;
  /** Sentences that are translated before the first round, at most. */
  readonly warmMax: number;
}

export interface CaseResult {
  readonly row: string;
  readonly column: string;
  /** What was translated, and how: where it is the same, so is the hash of Millrace's outputs. */
  readonly work: string;
  readonly hash: string;
  readonly ours: readonly number[];
  readonly theirs: readonly number[];
  readonly ratios: readonly number[];
}

/** Throws where a side gives other outputs in another round, or not all of them. */
export async function runCase(spec: CaseSpec, run: CaseRun): Promise<CaseResult> {
  const { report, fleet, rounds } = run;
  const count = spec.count ?? Math.ceil(run.count * spec.share);
  const turn = { mode: spec.mode, beams: spec.beams, count };
  const ours = await fleet.ours(spec);
  const rival = await fleet.rival(spec.theirs);
  const theirs = () => rival.translate(turn);
  const first = { ours: await ours(turn), theirs: await theirs() };
  const warmCount = Math.min(spec.warmCount ?? 0, run.warmMax);
  for (let warm = count; warm < warmCount; warm += count) {
    await ours(turn);
    await theirs();
  }
  const processes = await fleet.processes(spec);
  const taken: ProcessorTime[] = [];
  const turns = await inTurns(["ours", "theirs"] as const, rounds, async (side) => {
    if (side === "theirs") return await theirs();
    const before = timesOf(processes);
    const result = await ours(turn);
    taken.push(differences(before, timesOf(processes)));
    return result;
  });
  const done = { ours: turns.get("ours") ?? [], theirs: turns.get("theirs") ?? [] };
  const hash = checkedHash([first.ours, ...done.ours], count);
  checkedHash([first.theirs, ...done.theirs], count);
  const title = `${run.title}, ${spec.title}`;
  const rates = { ours: done.ours.map(rateOf), theirs: done.theirs.map(rateOf) };
  const over = ratios(rates.ours, rates.theirs);
  report.add(`${title}: Millrace`, rates.ours, { unit: "sentences/s" });
  report.add(`${title}: ${fleet.rivalName}`, rates.theirs, { unit: "sentences/s" });
  report.add(`${title}: ratio`, over, {
    target: spec.target === null ? null : atLeast(spec.target),
  });
  for (const { name } of processes) {
    const us = taken.flatMap((each) => {
      const ms = each.get(name);
      return ms === undefined ? [] : [(1_000 * ms) / count];
    });
    if (us.length === taken.length)
      report.add(`${title}: processor of the ${name}`, us, { unit: "µs/sentence" });
  }
  if (spec.mode === "all") reportSteps(title, done.ours, run);
  const equal = fleet.rivalSaysTexts ? `, ${sayEqual(first, fleet.rivalName)}` : "";
  report.say(`${title}: ${count} sentences a turn, outputs ${hash}${equal}`);
  return {
    row: spec.title,
    column: run.title,
    work: `${run.title}, ${spec.beams} beams, ${count}`,
    hash,
    ratios: over,
    ...rates,
  };
}

function sayEqual(
  { ours, theirs }: { readonly ours: TurnResult; readonly theirs: TurnResult },
  rivalName: string,
): string {
  const equal = ours.outputs.filter((output, at) => output === theirs.outputs[at]);
  return `${equal.length} of ${ours.outputs.length} equal to ${rivalName}'s`;
}

/** Milliseconds, by the names of `NamedProcesses`; of those that the system does not tell of nothing. */
type ProcessorTime = ReadonlyMap<string, number>;

function timesOf(processes: readonly NamedProcesses[]): ProcessorTime {
  const all = processes.flatMap(({ name, pids }): (readonly [string, number])[] => {
    const times = pids.map(processTimeMs);
    return times.every((ms) => ms !== null) ? [[name, times.reduce((sum, ms) => sum + ms, 0)]] : [];
  });
  return new Map(all);
}

function differences(before: ProcessorTime, after: ProcessorTime): ProcessorTime {
  return new Map([...after].map(([name, ms]) => [name, ms - (before.get(name) ?? 0)]));
}

function rateOf({ sentences, seconds }: TurnResult): number {
  return sentences / seconds;
}

function checkedHash(results: readonly TurnResult[], count: number): string {
  const hashes = new Set<string>();
  for (const { outputs } of results) {
    if (outputs.length !== count)
      throw new Error(`${outputs.length} outputs of ${count} sentences`);
    hashes.add(hashOf(outputs));
  }
  if (hashes.size !== 1)
    throw new Error(`other outputs in other rounds: ${[...hashes].join(", ")}`);
  return hashOf(results[0]?.outputs ?? []);
}

function reportSteps(title: string, results: readonly TurnResult[], run: CaseRun): void {
  const { report, rowsMax } = run;
  const steps = results.flatMap((result) => (result.steps === null ? [] : [result.steps]));
  if (steps.length === 0 || steps.some(({ runs }) => runs === 0)) return;
  report.add(
    `${title}: mean rows of a step, of ${rowsMax}`,
    steps.map(({ rows, runs }) => rows / runs),
  );
  const full = steps.flatMap(({ whileMore }) =>
    whileMore === null || whileMore.runs === 0
      ? []
      : [(100 * whileMore.rows) / whileMore.runs / rowsMax],
  );
  if (full.length > 0) {
    report.add(`${title}: how full a step is while more waits`, full, {
      unit: "%",
      target: atLeast(90),
    });
  }
}
