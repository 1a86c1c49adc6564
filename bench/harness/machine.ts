/** Where and of what a figure is: the machine, the commit, and a hash of the results that were timed. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { availableParallelism, cpus, loadavg, totalmem } from "node:os";

export interface Machine {
  readonly processor: string;
  readonly cores: number;
  readonly memoryGib: number;
  readonly node: string;
  /** Load average of the last minute, before anything was measured. */
  readonly loadBefore: number;
  readonly commit: string;
}

export function readMachine(): Machine {
  return {
    processor: cpus()[0]?.model ?? "?",
    cores: availableParallelism(),
    memoryGib: Math.round(totalmem() / 2 ** 30),
    node: process.version,
    loadBefore: Number((loadavg()[0] ?? Number.NaN).toFixed(2)),
    commit: commit(),
  };
}

export function describeMachine(machine: Machine = readMachine()): string {
  const { processor, cores, memoryGib, node, loadBefore, commit: at } = machine;
  return `${processor}, ${cores} cores, ${memoryGib} GiB, Node ${node}, load before ${loadBefore.toFixed(2)}, commit ${at}`;
}

function commit(): string {
  try {
    const git = (...args: string[]) => execFileSync("git", args, { encoding: "utf8" }).trim();
    const changed =
      git("status", "--porcelain", "--untracked-files=no") === "" ? "" : " with changes";
    return `${git("rev-parse", "--short", "HEAD")}${changed}`;
  } catch {
    return "unknown";
  }
}

export function hashOf(results: readonly (readonly number[] | string)[]): string {
  return createHash("sha256").update(JSON.stringify(results)).digest("hex").slice(0, 12);
}

/** Median, least and most. */
export function spread(values: readonly number[]): { median: number; least: number; most: number } {
  const sorted = [...values].sort((left, right) => left - right);
  const at = (place: number) => sorted[place] ?? Number.NaN;
  const median = (at((sorted.length - 1) >> 1) + at(sorted.length >> 1)) / 2;
  return { median, least: sorted[0] ?? Number.NaN, most: sorted.at(-1) ?? Number.NaN };
}

export function spreadText(values: readonly number[], digits: number): string {
  const { median, least, most } = spread(values);
  return `${median.toFixed(digits)} (${least.toFixed(digits)}–${most.toFixed(digits)})`;
}
