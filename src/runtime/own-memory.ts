/** What this process has in memory that it shares with nobody, and that the kernel could not read again from a file. */
import { readKernelText } from "../cgroup.js";

/** Where the kernel does not tell the kinds apart: all that is resident, mapped weights too. */
export function ownMemoryBytes(): number {
  const [, kibibytes] =
    /^RssAnon:\s+(\d+) kB$/m.exec(readKernelText("/proc/self/status") ?? "") ?? [];
  return kibibytes === undefined ? process.memoryUsage.rss() : Number(kibibytes) * 1024;
}
