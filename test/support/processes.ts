/** Processes as /proc shows them. */
import { existsSync, readdirSync, readFileSync } from "node:fs";

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

export function residentBytesOf(pid: number): number {
  const [, kibibytes = ""] =
    /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "latin1")) ?? [];
  return Number(kibibytes) * 1024;
}
