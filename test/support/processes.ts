/** Processes as /proc shows them. */
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";

/** Null where the process is gone. */
function stat(pid: number): { readonly state: string; readonly parent: number } | null {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "latin1");
    const [state = "", parent = ""] = text.slice(text.lastIndexOf(")") + 2).split(" ");
    return { state, parent: Number(parent) };
  } catch {
    return null;
  }
}

/** A zombie whose parent has not collected it yet has ended; without /proc there is no telling it from others. */
export function isRunning(pid: number): boolean {
  if (!existsSync("/proc/self/stat")) return isThere(pid);
  const found = stat(pid);
  return found !== null && found.state !== "Z" && found.state !== "X";
}

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

export function childrenOf(parent: number): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => stat(pid)?.parent === parent && isRunning(pid));
}

/** The files that the process has mapped. */
export function mappedFiles(pid: number): string[] {
  const lines = readFileSync(`/proc/${pid}/maps`, "utf8").split("\n");
  return [...new Set(lines.map((line) => /\/.*$/.exec(line)?.[0] ?? ""))].filter(Boolean);
}

export function commandOf(pid: number): string[] {
  return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0").slice(0, -1);
}

/** `VmRSS` is what is resident, `VmHWM` the most that ever was, `RssAnon` what is resident and its own. @throws where it is not told */
export function memoryBytesOf(pid: number, field: "VmRSS" | "VmHWM" | "RssAnon"): number {
  const status = readFileSync(`/proc/${pid}/status`, "latin1");
  const [, kibibytes] = new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status) ?? [];
  if (kibibytes === undefined) throw new Error(`nothing is told of the ${field} of ${pid}`);
  return Number(kibibytes) * 1024;
}

/** The first port over IPv4 that the process listens at; null where there is none yet. */
export function listeningPortOf(pid: number): number | null {
  const own = new Set(
    readdirSync(`/proc/${pid}/fd`).map((name) => linkOf(`/proc/${pid}/fd/${name}`)),
  );
  const rows = readFileSync(`/proc/${pid}/net/tcp`, "latin1").split("\n").slice(1);
  for (const row of rows) {
    const fields = row.trim().split(/\s+/);
    // 0A: listening.
    if (fields[3] === "0A" && own.has(`socket:[${fields[9]}]`))
      return Number.parseInt(fields[1]?.split(":")[1] ?? "", 16);
  }
  return null;
}

/** Null where it was closed meanwhile. */
function linkOf(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}
