/**
 * What a container may use. Node counts the machine's processors and its memory; a container's quota stands in the
 * files of its control group, of which each ancestor may have a tighter one:
 *
 *   /proc/self/cgroup      0::/pod/app          which group is ours, for each hierarchy
 *   /proc/self/mountinfo   / → /sys/fs/cgroup   where that hierarchy can be read, and from which group on
 *   /sys/fs/cgroup/pod/app/cpu.max, /sys/fs/cgroup/pod/cpu.max, /sys/fs/cgroup/cpu.max
 *
 * What cannot be read, or makes no sense, limits nothing.
 */
import { posix } from "node:path";

/** The file's text; null where it cannot be read. */
export type ReadText = (path: string) => string | null;

export interface Limit {
  readonly value: number;
  /** Path of the file that says so. */
  readonly from: string;
}

export interface CgroupLimits {
  /** Processors' worth of time, 1.5 for example. */
  readonly cpus: Limit | null;
  readonly memoryBytes: Limit | null;
}

export function readCgroupLimits(read: ReadText): CgroupLimits {
  const groups = ownGroups(read("/proc/self/cgroup") ?? "");
  const mounts = cgroupMounts(read("/proc/self/mountinfo") ?? "");
  const limits = { cpus: [] as Limit[], memoryBytes: [] as Limit[] };
  for (const mount of mounts) {
    for (const { controllers, path } of groups) {
      if (!isOf(mount, controllers)) continue;
      for (const folder of upwards(mount, path)) {
        keep(limits.cpus, cpusOf(mount.version, folder, read));
        keep(limits.memoryBytes, memoryOf(mount.version, folder, read));
      }
    }
  }
  return { cpus: least(limits.cpus), memoryBytes: least(limits.memoryBytes) };
}

interface Group {
  /** Empty for version 2, whose one hierarchy has all of them. */
  readonly controllers: readonly string[];
  readonly path: string;
}

interface Mount {
  readonly version: 1 | 2;
  readonly controllers: readonly string[];
  /** The group that is seen at `point`. */
  readonly root: string;
  readonly point: string;
}

/** Lines of `4:cpu,cpuacct:/path`; version 2's is `0::/path`. A path may itself hold colons. */
function ownGroups(text: string): Group[] {
  return text.split("\n").flatMap((line) => {
    const [, controllers = "", path = ""] = /^\d+:([^:]*):(\/.*)$/.exec(line) ?? [];
    return path === "" ? [] : [{ controllers: controllers.split(",").filter(Boolean), path }];
  });
}

/** Lines of `31 23 0:28 ROOT POINT rw … - cgroup2 NAME rw,…`; blanks in paths are octal. */
function cgroupMounts(text: string): Mount[] {
  return text.split("\n").flatMap((line): Mount[] => {
    const [left = "", right = ""] = line.split(" - ");
    const [root = "", point = ""] = left.split(" ").slice(3, 5).map(unescape);
    const [type, , options = ""] = right.split(" ");
    if (!point.startsWith("/")) return [];
    if (type === "cgroup2") return [{ version: 2, controllers: [], root, point }];
    if (type === "cgroup") return [{ version: 1, controllers: options.split(","), root, point }];
    return [];
  });
}

function unescape(path: string): string {
  return path.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

/** Version 1 has a hierarchy for each controller; only those that limit what we ask about are looked at. */
function isOf(mount: Mount, controllers: readonly string[]): boolean {
  if (mount.version === 2) return controllers.length === 0;
  return controllers.some(
    (name) => (name === "cpu" || name === "memory") && mount.controllers.includes(name),
  );
}

/** From our own group to the uppermost that is mounted. A group outside of the mount is seen as its root. */
function upwards({ root, point }: Mount, path: string): string[] {
  const below = posix.relative(root, path);
  const folders = [point];
  if (below === "" || below.split("/").includes("..")) return folders;
  for (const name of below.split("/")) folders.push(posix.join(folders.at(-1) ?? point, name));
  return folders.toReversed();
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
