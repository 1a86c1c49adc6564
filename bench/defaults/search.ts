/** The search for the best fixed configuration: the layouts first, then rows with the best of them; each measured for a moment. */

import { quantiles } from "../harness/quantiles.js";
import type { Report } from "../harness/report.js";
import { type Fixed, readFixed, rowsToTry } from "./fixed.js";
import { type Asked, bulkPerSecond, realtimeBesideBulk, type Work } from "./measure.js";
import { type Place, startFixed, type Up } from "./up.js";

export interface Tried {
  readonly name: string;
  readonly bulkPerSecond: number;
  /** Beside bulk. */
  readonly p99Ms: number;
}

export interface Search {
  readonly place: Place;
  readonly work: Work;
  readonly asked: Asked;
  readonly layouts: readonly string[];
  /** Of each measure, so many go on. */
  readonly bestOf: number;
}

export async function tryOne(up: Up, work: Work, asked: Asked): Promise<Tried> {
  const perSecond = await bulkPerSecond(up, work);
  const { latenciesMs } = await realtimeBesideBulk(up, work, asked);
  return { name: up.name, bulkPerSecond: perSecond, p99Ms: quantiles(latenciesMs).p99Ms };
}

/** Those that were the best of anything; `first` is shown beside them. */
export async function search(
  { place, work, asked, layouts, bestOf }: Search,
  first: Tried,
): Promise<readonly Fixed[]> {
  const tryThem = async (names: readonly string[]): Promise<readonly Tried[]> => {
    const tried: Tried[] = [];
    for (const name of names) {
      await using up = await startFixed(place, readFixed(name));
      tried.push(await tryOne(up, work, asked));
    }
    return tried;
  };
  const byLayout = await tryThem(layouts);
  const fastest = byBulk(byLayout)[0]?.name;
  const byRows = fastest === undefined ? [] : await tryThem(rowsToTry(fastest));
  const all = [...byLayout, ...byRows];
  tell(place.run.report, [first, ...all]);
  const best = [...byBulk(all).slice(0, bestOf), ...byLatency(all).slice(0, bestOf)];
  return [...new Set(best.map(({ name }) => name))].map(readFixed);
}

function byBulk(tried: readonly Tried[]): readonly Tried[] {
  return [...tried].sort((left, right) => right.bulkPerSecond - left.bulkPerSecond);
}

function byLatency(tried: readonly Tried[]): readonly Tried[] {
  return [...tried].sort((left, right) => left.p99Ms - right.p99Ms);
}

function tell(report: Report, tried: readonly Tried[]): void {
  report.table({
    title: "the search, each measured once: bulk alone, and realtime beside bulk",
    columns: ["configuration", "bulk sentences/s", "p99 ms"],
    rows: tried.map((each) => [each.name, [each.bulkPerSecond], [each.p99Ms]]),
  });
}
