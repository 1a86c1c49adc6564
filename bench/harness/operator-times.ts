/** What ONNX Runtime wrote down of the runs of a session, summed up. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { RunEvents } from "#src/profile/run-events.js";

export interface OperatorTime {
  readonly operator: string;
  readonly ms: number;
  readonly calls: number;
}

export interface SessionTimes {
  /** The most expensive first. */
  readonly operators: readonly OperatorTime[];
  readonly runs: number;
  /** Of whole runs: kernels, and what the runtime does around them. */
  readonly runsMs: number;
}

/** Of all profiles of the folder together. */
export function sessionTimes(profileDir: string): SessionTimes {
  const events = new RunEvents();
  const files = readdirSync(profileDir).filter((name) => name.endsWith(".json"));
  for (const file of files) events.add(readFileSync(join(profileDir, file), "utf8"));
  const { runs, runsMs } = events;
  const operators = [...events.operators]
    .map(([operator, { ms, calls }]) => ({ operator, ms, calls }))
    .sort((left, right) => right.ms - left.ms);
  return { operators, runs, runsMs };
}
