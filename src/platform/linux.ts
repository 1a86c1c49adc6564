/** Linux: nearly all of it is read from files that the kernel makes as they are read. What a sandbox hides is null. */
import { writeFileSync } from "node:fs";
import { posix } from "node:path";
import { cacheHomeOf } from "./cache-home.js";
import { cgroupFolders, type ReadText } from "./cgroup.js";
import { readContainerLimits } from "./container-limits.js";
import { dieWithParent } from "./death-signal.js";
import type {
  FoundProcess,
  MemoryKillCounter,
  Platform,
  PlatformFacts,
  ProcessSample,
} from "./system.js";

export function linux(facts: PlatformFacts): Platform {
  const { read } = facts;
  return {
    name: "linux",
    lacks: [],
    sampleProcess: (pid) => sampleProcess(pid, read),
    processAt: (pid) => processAt(pid, read),
    dieWithParent,
    offerToMemoryKiller: (pid) => offerToMemoryKiller(pid, read),
    stopSignals: ["SIGTERM", "SIGINT"],
    reloadSignal: "SIGHUP",
    ownMemoryBytes: () => ownMemoryBytes(read),
    memoryKillCounter: () => findMemoryKillCounter(read),
    containerLimits: () => readContainerLimits(read),
    processorFlags: () => processorFlags(read),
    openFilesMax: () => openFilesMax(read),
    home: facts.home,
    cacheHome: cacheHomeOf(facts),
    terminalPath: "/proc/self/fd/1",
    openFolderPath: (fd) => `/proc/self/fd/${fd}`,
    hasSocketFiles: true,
    hasFileModes: true,
    holdsOpenFiles: false,
    hasWidePaths: false,
  };
}

/** The fields of `proc(5)`'s stat from the third one on; null: no such process. */
function statFields(pid: number, read: ReadText): readonly string[] | null {
  const stat = read(`/proc/${pid}/stat`);
  // The second field is the command in parentheses and may itself hold blanks and parentheses.
  return stat === null ? null : stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** A hundredth of a second, on every machine that Node runs on. */
const clockTickMs = 10;

function sampleProcess(pid: number, read: ReadText): ProcessSample | null {
  const fields = statFields(pid, read);
  if (fields === null) return null;
  const [state, userTicks, systemTicks] = [fields[0], Number(fields[11]), Number(fields[12])];
  const cpuMs = (userTicks + systemTicks) * clockTickMs;
  if (Number.isNaN(cpuMs)) return null;
  return { cpuMs, stopped: state === "T" || state === "t", runnable: state === "R" };
}

function processAt(pid: number, read: ReadText): FoundProcess | null {
  const fields = statFields(pid, read);
  const [state, begun] = [fields?.[0], fields?.[19]];
  return begun === undefined ? null : { isDead: state === "Z" || state === "X", begun };
}

/** By how many thousandths of the machine's memory it counts as larger than it is. */
const memoryKillPreference = 300;

/**
 * When memory runs out the kernel kills the largest process. Let it be a worker, which is replaced, and not the server, which
 * answers for all. Where it cannot be set (the worker has ended already) the kernel's own choice stands.
 */
function offerToMemoryKiller(pid: number, read: ReadText): void {
  const own = Number(read("/proc/self/oom_score_adj") ?? Number.NaN);
  if (Number.isNaN(own)) return;
  try {
    writeFileSync(
      `/proc/${pid}/oom_score_adj`,
      String(Math.min(1_000, own + memoryKillPreference)),
    );
  } catch {
    return;
  }
}

/** Where the kernel does not tell the kinds apart: all that is resident, mapped weights too. */
function ownMemoryBytes(read: ReadText): number {
  const [, kibibytes] = /^RssAnon:\s+(\d+) kB$/m.exec(read("/proc/self/status") ?? "") ?? [];
  return kibibytes === undefined ? process.memoryUsage.rss() : Number(kibibytes) * 1024;
}

/**
 * The first of these that can be read:
 *
 *   cgroup v2   memory.events       `oom_kill N`     of the server's own group, which its workers share
 *   cgroup v1   memory.oom_control  `oom_kill N`
 *   machine     /proc/vmstat        `oom_kill N`     of everything that runs here
 */
function findMemoryKillCounter(read: ReadText): MemoryKillCounter {
  const path = [
    ...cgroupFolders(read, ["memory"]).map((folder) =>
      posix.join(folder.path, folder.version === 2 ? "memory.events" : "memory.oom_control"),
    ),
    "/proc/vmstat",
  ].find((file) => killsIn(read(file)) !== null);
  return () => (path === undefined ? null : killsIn(read(path)));
}

function killsIn(text: string | null): number | null {
  const [, count] = /^oom_kill (\d+)$/m.exec(text ?? "") ?? [];
  return count === undefined ? null : Number(count);
}

function processorFlags(read: ReadText): string | null {
  const [, flags] = /^(?:flags|Features)\s*:\s*(.+)$/m.exec(read("/proc/cpuinfo") ?? "") ?? [];
  return flags ?? null;
}

/** The first number of `Max open files  1024  1048576  files`. Node has raised it to the second by now. */
function openFilesMax(read: ReadText): number | null {
  const [, most] = /^Max open files\s+(\d+)\s/m.exec(read("/proc/self/limits") ?? "") ?? [];
  return most === undefined ? null : Number(most);
}
