/** Memory of processes, as Linux counts it: a page that several of them map counts once, shared among them. */
import { readFileSync } from "node:fs";

/** MiB; null where the system does not tell. */
export function proportionalMiB(pids: readonly number[]): number | null {
  if (process.platform !== "linux") return null;
  return pids.reduce((sum, pid) => {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, "latin1");
    return sum + Number(/^Pss:\s+(\d+) kB/m.exec(rollup)?.[1]) / 1024;
  }, 0);
}
