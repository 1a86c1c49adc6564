/**
 * The control groups that this process is in, on Linux: where a container's limits and counters are read.
 *
 *   /proc/self/cgroup      0::/pod/app          which group is ours, for each hierarchy
 *   /proc/self/mountinfo   / → /sys/fs/cgroup   where that hierarchy can be read, and from which group on
 *   /sys/fs/cgroup/pod/app, /sys/fs/cgroup/pod, /sys/fs/cgroup
 */
import { readFileSync } from "node:fs";
import { posix } from "node:path";

/** The file's text; null where it cannot be read. */
export type ReadText = (path: string) => string | null;

/** Of this machine; its files are small, and are made by the kernel when they are read. */
export const readKernelText: ReadText = (path) => {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
};

export interface CgroupFolder {
  readonly version: 1 | 2;
  readonly path: string;
}

/** Our own group and those above it that limit one of these, the nearest first of each hierarchy; none elsewhere. */
export function cgroupFolders(read: ReadText, controllers: readonly string[]): CgroupFolder[] {
  const groups = ownGroups(read("/proc/self/cgroup") ?? "");
  const mounts = cgroupMounts(read("/proc/self/mountinfo") ?? "");
  return mounts.flatMap((mount) =>
    groups
      .filter((group) => isOf(mount, group.controllers, controllers))
      .flatMap((group) => upwards(mount, group.path))
      .map((path) => ({ version: mount.version, path })),
  );
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

/** Version 2 has one hierarchy, version 1 one for each controller: only those that are asked about are looked at. */
function isOf(mount: Mount, controllers: readonly string[], asked: readonly string[]): boolean {
  if (mount.version === 2) return controllers.length === 0;
  return controllers.some((name) => asked.includes(name) && mount.controllers.includes(name));
}

/** From our own group to the uppermost that is mounted. A group outside of the mount is seen as its root. */
function upwards({ root, point }: Mount, path: string): string[] {
  const below = posix.relative(root, path);
  const folders = [point];
  if (below === "" || below.split("/").includes("..")) return folders;
  for (const name of below.split("/")) folders.push(posix.join(folders.at(-1) ?? point, name));
  return folders.toReversed();
}
