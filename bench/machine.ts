/** Where and of what a figure is: the machine, the commit, and a hash of the results that were timed. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { availableParallelism, cpus, loadavg, totalmem } from "node:os";

export function describeMachine(): string {
  const cores = availableParallelism();
  const gibibytes = Math.round(totalmem() / 2 ** 30);
  const load = loadavg()[0]?.toFixed(2) ?? "?";
  return `${cpus()[0]?.model ?? "?"}, ${cores} cores, ${gibibytes} GiB, Node ${process.version}, load before ${load}, commit ${commit()}`;
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
  const middle = sorted[sorted.length >> 1] ?? Number.NaN;
  return { median: middle, least: sorted[0] ?? Number.NaN, most: sorted.at(-1) ?? Number.NaN };
}

export function spreadText(values: readonly number[], digits: number): string {
  const { median, least, most } = spread(values);
  return `${median.toFixed(digits)} (${least.toFixed(digits)}–${most.toFixed(digits)})`;
}
