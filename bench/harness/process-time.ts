/** What a process and its threads have taken of the processors, without its children. */
import { platform } from "#src/platform/platform.js";

/** User and system time, to a hundredth of a second; null where the process is gone, or the system does not tell (other than Linux). */
export function processTimeMs(pid: number): number | null {
  return platform.sampleProcess(pid)?.cpuMs ?? null;
}
