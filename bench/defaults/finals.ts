/** The default and the best few once more, in turns: what the targets are held against. */

import { spread } from "../harness/machine.js";
import { quantiles } from "../harness/quantiles.js";
import { atLeast, type Report, ratios, under } from "../harness/report.js";
import { inTurns } from "../harness/rounds.js";
import { tellGenerator, type Wave } from "../serving/wave.js";
import {
  type Asked,
  bulkPerSecond,
  type Realtime,
  realtime,
  realtimeBesideBulk,
  type Work,
} from "./measure.js";
import type { Up } from "./up.js";

interface Final {
  readonly name: string;
  /** A value of each round. */
  readonly bulk: readonly number[];
  readonly besideP99: readonly number[];
  readonly besideP50: readonly number[];
  readonly aloneP99: readonly number[];
  readonly aloneP50: readonly number[];
  /** Of all rounds together. */
  readonly besideMs: readonly number[];
  readonly aloneMs: readonly number[];
  readonly waves: readonly Wave[];
}

interface Once {
  readonly bulk: number;
  readonly beside: Realtime;
  readonly alone: Realtime;
}

/** The first of `servers` is the default. */
export async function measureFinals(
  servers: readonly Up[],
  rounds: number,
  of: { readonly work: Work; readonly perSecond: number },
): Promise<readonly Final[]> {
  const measured = await inTurns(servers, rounds, async (up, round): Promise<Once> => {
    const asked: Asked = { perSecond: of.perSecond, seed: round + 1 };
    return {
      bulk: await bulkPerSecond(up, of.work),
      beside: await realtimeBesideBulk(up, of.work, asked),
      alone: await realtime(up, of.work, asked),
    };
  });
  return [...measured].map(([{ name }, all]) => finalOf(name, all));
}

function finalOf(name: string, all: readonly Once[]): Final {
  const beside = all.map((once) => quantiles(once.beside.latenciesMs));
  const alone = all.map((once) => quantiles(once.alone.latenciesMs));
  return {
    name,
    bulk: all.map((once) => once.bulk),
    besideP99: beside.map(({ p99Ms }) => p99Ms),
    besideP50: beside.map(({ p50Ms }) => p50Ms),
    aloneP99: alone.map(({ p99Ms }) => p99Ms),
    aloneP50: alone.map(({ p50Ms }) => p50Ms),
    besideMs: all.flatMap((once) => once.beside.latenciesMs),
    aloneMs: all.flatMap((once) => once.alone.latenciesMs),
    waves: all.flatMap((once) => [once.beside.wave, once.alone.wave]),
  };
}

export function tellFinals(report: Report, finals: readonly Final[], note: string): void {
  report.table({
    title: "the default and the best of the search, in turns",
    columns: [
      "configuration",
      "bulk sentences/s",
      "beside bulk: p50 ms",
      "p99 ms",
      "alone: p50 ms",
      "p99 ms",
    ],
    rows: finals.map((one) => [
      one.name,
      one.bulk,
      one.besideP50,
      one.besideP99,
      one.aloneP50,
      one.aloneP99,
    ]),
  });
  report.say("");
  holdAgainstTargets(report, finals);
  for (const { name, besideMs, aloneMs } of finals) {
    report.latencies(`${name}, beside bulk`, besideMs);
    report.latencies(`${name}, alone`, aloneMs);
  }
  tellGenerator(
    report,
    finals.flatMap(({ waves }) => waves),
  );
  plot(report, finals, note);
}

/** Of each measure the best one, whichever that is: no fixed configuration need be the best of all of them. */
function holdAgainstTargets(report: Report, [own, ...fixed]: readonly Final[]): void {
  const most = bestBy(fixed, ({ bulk }) => -spread(bulk).median);
  const beside = bestBy(fixed, ({ besideP99 }) => spread(besideP99).median);
  const alone = bestBy(fixed, ({ aloneP99 }) => spread(aloneP99).median);
  if (own === undefined || most === undefined || beside === undefined || alone === undefined)
    throw new Error("there is nothing to compare");
  const held = (than: Final, of: "besideP99" | "aloneP99") => ratios(own[of], than[of]);
  const atMost = { target: under(1.2) };
  report.add(
    `bulk sentences/s: the default / the most (${most.name})`,
    ratios(own.bulk, most.bulk),
    {
      target: atLeast(0.95),
    },
  );
  report.add(`p99 beside bulk / the least (${beside.name})`, held(beside, "besideP99"), atMost);
  report.add(`p99 alone / the least (${alone.name})`, held(alone, "aloneP99"), atMost);
  const itsBeside = held(most, "besideP99");
  report.add(`p99 beside bulk / that of the most bulk (${most.name})`, itsBeside, atMost);
  report.add(`p99 alone / that of the most bulk (${most.name})`, held(most, "aloneP99"), atMost);
}

function bestBy(finals: readonly Final[], costOf: (one: Final) => number): Final | undefined {
  return [...finals].sort((left, right) => costOf(left) - costOf(right))[0];
}

function plot(report: Report, finals: readonly Final[], note: string): void {
  const x = { label: "configuration", categories: finals.map(({ name }) => name) };
  report.plot({
    name: "defaults-bulk",
    title: "The default beside the best fixed configurations: bulk",
    note,
    mark: "bars",
    x,
    y: { label: "sentences/s", scale: "linear" },
    series: [{ name: "bulk alone", points: finals.map(({ bulk }) => spread(bulk)) }],
  });
  report.plot({
    name: "defaults-p99",
    title: "The default beside the best fixed configurations: p99 of single sentences",
    note,
    mark: "bars",
    x,
    y: { label: "ms", scale: "linear" },
    series: [
      { name: "alone", points: finals.map(({ aloneP99 }) => spread(aloneP99)) },
      { name: "beside bulk", points: finals.map(({ besideP99 }) => spread(besideP99)) },
    ],
  });
}
