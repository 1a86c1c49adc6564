/**
 * How busy the processors are now. The kernel's load average knows the last minute only: what was installed or built just before a
 * first start would keep its trial away, on a machine that has nothing else to do. In a container these are the host's processors: what runs
 * beside it counts, and what this process does itself.
 */
import { type CpuInfo, cpus } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";

const lookMs = 250;

/** Of all processors together, 1: all of them. @throws the signal's reason. */
export async function machineLoad(signal?: AbortSignal): Promise<number> {
  const before = cpus();
  await sleep(lookMs, undefined, signal === undefined ? {} : { signal }).catch((error: unknown) => {
    signal?.throwIfAborted();
    throw error;
  });
  return busyShare(before, cpus());
}

/** Between two looks at the same processors. Where no time was counted between them: 0. */
export function busyShare(before: readonly CpuInfo[], after: readonly CpuInfo[]): number {
  const idle = timeOf(after, ["idle"]) - timeOf(before, ["idle"]);
  const all = timeOf(after, counted) - timeOf(before, counted);
  return all > 0 ? 1 - idle / all : 0;
}

const counted = ["user", "nice", "sys", "idle", "irq"] as const;

function timeOf(
  processors: readonly CpuInfo[],
  kinds: readonly (keyof CpuInfo["times"])[],
): number {
  return processors.flatMap(({ times }) => kinds.map((kind) => times[kind])).reduce(sum, 0);
}

function sum(left: number, right: number): number {
  return left + right;
}
