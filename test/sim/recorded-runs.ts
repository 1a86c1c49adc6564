import { readFileSync } from "node:fs";
import type { RunMs } from "#src/simulation/simulated-engine.js";

interface RecordedRun {
  readonly stage: string;
  readonly rows: number;
  readonly width: number;
  readonly ms: number;
}

interface Recording {
  readonly source: string;
  readonly runs: readonly RecordedRun[];
}

// Compiled tests run from build/test/sim; the recording stays in the source tree.
const file = new URL("../../../test/sim/recorded-runs.json", import.meta.url);
export const recording = JSON.parse(readFileSync(file, "utf8")) as Recording;

const known = new Map<string, number>();

/** The recorded time of the nearest run (in rows × width), scaled to this size. */
export function runMs(stage: string, rows: number, width: number): number {
  const key = `${stage} ${rows} ${width}`;
  const ms = known.get(key) ?? nearestMs(stage, rows, width);
  known.set(key, ms);
  return ms;
}

/** The same, as simulated engines ask. */
export const recordedMs: RunMs = (stage, { rows, width }) => runMs(stage, rows, width);

function nearestMs(stage: string, rows: number, width: number): number {
  let nearest: RecordedRun | undefined;
  let distance = Infinity;
  for (const run of recording.runs) {
    if (run.stage !== stage) continue;
    const away =
      Math.abs(Math.log2(run.rows / rows)) + 0.5 * Math.abs(Math.log2(run.width / width));
    if (away >= distance) continue;
    nearest = run;
    distance = away;
  }
  if (nearest === undefined) throw new Error(`no recorded run of stage ${stage}`);
  return nearest.ms * Math.sqrt((rows * width) / (nearest.rows * nearest.width));
}
