/** What ONNX Runtime wrote down of the runs of a session, summed up. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

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

interface ProfileEvent {
  readonly cat: string;
  readonly name: string;
  /** Microseconds. */
  readonly dur: number;
  readonly args?: { readonly op_name?: string };
}

/** Of all profiles of the folder together. */
export function sessionTimes(profileDir: string): SessionTimes {
  const files = readdirSync(profileDir).filter((name) => name.endsWith(".json"));
  const events = files.flatMap(
    (file) => JSON.parse(readFileSync(join(profileDir, file), "utf8")) as ProfileEvent[],
  );
  const runs = events.filter(({ cat, name }) => cat === "Session" && name === "model_run");
  return {
    operators: operatorsOf(events),
    runs: runs.length,
    runsMs: runs.reduce((sum, { dur }) => sum + dur / 1_000, 0),
  };
}

function operatorsOf(events: readonly ProfileEvent[]): readonly OperatorTime[] {
  const sums = new Map<string, { ms: number; calls: number }>();
  for (const { cat, name, dur, args } of events) {
    if (cat !== "Node" || !name.endsWith("_kernel_time")) continue;
    const operator = args?.op_name ?? "?";
    const sum = sums.get(operator) ?? { ms: 0, calls: 0 };
    sums.set(operator, { ms: sum.ms + dur / 1_000, calls: sum.calls + 1 });
  }
  return [...sums]
    .map(([operator, sum]) => ({ operator, ...sum }))
    .sort((left, right) => right.ms - left.ms);
}
