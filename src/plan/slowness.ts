/**
 * How slow the machine was while it was recorded, moment by moment: what pipelines needed for what they did, beside what such runs take on an
 * average. What else the machine does, and stalls of it, make the longest waits; they are replayed when they were.
 *
 *   reports   ├─ 12 ms for 11 ─┤   ├──── 54 ms for 18 ────┤        ratio of the times
 *   moments   │1.1│1.1│   │   │3.0│3.0│3.0│3.0│   │                 1 where no pipeline had anything
 */
import type { RecordedRuns } from "millrace-client/wire";
import type { RunMs } from "../simulation/simulated-engine.js";

const momentMs = 25;
/** A report of less says more of the clock than of the machine. */
const expectedMsMin = 2;
/** Bounds of one report: what is beyond them is no speed. */
const slownessMax = 50;

interface Moment {
  weight: number;
  sum: number;
}

export class Slowness {
  readonly #moments = new Map<number, Moment>();

  /** `expectedMs`: of what a report tells, without what is between its runs; `betweenMs`: of each of those. */
  constructor(
    lines: readonly RecordedRuns[],
    {
      expectedMs,
      betweenMs,
    }: { readonly expectedMs: (line: RecordedRuns) => number; readonly betweenMs: number },
  ) {
    for (const line of lines) {
      let runs = 0;
      for (const stage of line.stages) runs += stage.runs;
      const expected = expectedMs(line) + runs * betweenMs;
      if (line.busyMs === 0 || expected < expectedMsMin) continue;
      this.#add(line, Math.min(slownessMax, Math.max(1 / slownessMax, line.busyMs / expected)));
    }
  }

  /** Times as long as usual, at this time of the recording. */
  at(atMs: number): number {
    const moment = this.#moments.get(Math.floor(atMs / momentMs));
    return moment === undefined ? 1 : moment.sum / moment.weight;
  }

  #add({ atMs, busyMs }: RecordedRuns, ratio: number): void {
    const last = Math.floor(atMs / momentMs);
    for (let at = Math.floor((atMs - busyMs) / momentMs); at <= last; at += 1) {
      const covered = Math.min(atMs, (at + 1) * momentMs) - Math.max(atMs - busyMs, at * momentMs);
      const weight = Math.max(0, covered);
      // It ended just as a moment began: nothing is known of that one.
      if (weight === 0) continue;
      const moment = this.#moments.get(at) ?? { weight: 0, sum: 0 };
      this.#moments.set(at, { weight: moment.weight + weight, sum: moment.sum + weight * ratio });
    }
  }
}

/** Without what is between runs. */
export function expectedMsOf(line: RecordedRuns, runMs: RunMs): number {
  let ms = 0;
  for (const { stage, runs, rows, paddedUnits, sizes } of line.stages) {
    if (runs === 0) continue;
    if (rows === paddedUnits) {
      for (const [each, count] of sizes)
        ms += count * runMs(stage, { rows: each, width: 1, paddedUnits: each });
    } else
      ms += runs * runMs(stage, { rows: rows / runs, width: 1, paddedUnits: paddedUnits / runs });
  }
  return ms;
}
