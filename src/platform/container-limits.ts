/**
 * What a container may use. Node counts the machine's processors and its memory; a container's quota stands in the
 * files of its control groups, of which each ancestor may have a tighter one. What cannot be read, or makes no sense,
 * limits nothing.
 */
import { posix } from "node:path";
import { cgroupFolders, type ReadText } from "./cgroup.js";

export interface Limit {
  readonly value: number;
  /** Path of the file that says so. */
  readonly from: string;
}

export interface ContainerLimits {
  /** Processors' worth of time, 1.5 for example. */
  readonly cpus: Limit | null;
  readonly memoryBytes: Limit | null;
}

export function readContainerLimits(read: ReadText): ContainerLimits {
  const limits = { cpus: [] as Limit[], memoryBytes: [] as Limit[] };
  for (const { version, path } of cgroupFolders(read, ["cpu", "memory"])) {
    keep(limits.cpus, cpusOf(version, path, read));
    keep(limits.memoryBytes, memoryOf(version, path, read));
  }
  return { cpus: least(limits.cpus), memoryBytes: least(limits.memoryBytes) };
}

function cpusOf(version: 1 | 2, folder: string, read: ReadText): Limit | null {
  if (version === 2) {
    const from = posix.join(folder, "cpu.max");
    const [quota, period] = (read(from) ?? "").trim().split(" ");
    return limitOf(numberOf(quota) / numberOf(period), from);
  }
  const from = posix.join(folder, "cpu.cfs_quota_us");
  const period = read(posix.join(folder, "cpu.cfs_period_us"));
  return limitOf(numberOf(read(from)) / numberOf(period), from);
}

function memoryOf(version: 1 | 2, folder: string, read: ReadText): Limit | null {
  const from = posix.join(folder, version === 2 ? "memory.max" : "memory.limit_in_bytes");
  return limitOf(numberOf(read(from)), from);
}

/** `max` and -1 mean no limit and are no numbers here, like all that makes no sense. */
function numberOf(text: string | null | undefined): number {
  return /^[1-9]\d{0,19}$/.test(text?.trim() ?? "") ? Number(text) : Number.NaN;
}

function limitOf(value: number, from: string): Limit | null {
  return Number.isFinite(value) && value > 0 ? { value, from } : null;
}

function keep(limits: Limit[], limit: Limit | null): void {
  if (limit !== null) limits.push(limit);
}

function least(limits: readonly Limit[]): Limit | null {
  return limits.reduce<Limit | null>(
    (best, limit) => (best === null || limit.value < best.value ? limit : best),
    null,
  );
}
