/** What the status tells of the server's own process, whatever is behind its fronts. */
import type { StatusResponse } from "millrace-client/wire";
import type { BackendParts } from "./backend.js";

export function ownProcess(
  { eventLoopDelayP99Ms, heldByListener }: BackendParts,
  queuedBytes: number,
): StatusResponse["process"] {
  const { user, system } = process.cpuUsage();
  return {
    pid: process.pid,
    rssBytes: process.memoryUsage.rss(),
    eventLoopDelayP99Ms: eventLoopDelayP99Ms(),
    eventLoopActiveMs: performance.eventLoopUtilization().active,
    cpuMs: (user + system) / 1000,
    ...heldByListener(),
    queuedBytes,
  };
}
