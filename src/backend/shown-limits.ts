/** What of the options and the machine the status tells beside what is held within it. */
import type { StatusResponse } from "millrace-client/wire";
import type { Options } from "../options/options.js";
import type { Configuration } from "../options/resolve.js";
import { platform } from "../platform/platform.js";

export function shownLimits({
  queuedItemsMax,
  queuedBytesMax,
  modelMemoryBytes,
  connectionsMax,
  realtimeTargetMs,
  bodiesBytesMax,
  repliesBytesMax,
  rowsMax,
  bulkThreshold,
}: Options): NonNullable<StatusResponse["limits"]> {
  const held = { queuedItemsMax, queuedBytesMax, modelMemoryBytes, connectionsMax };
  const onTheWay = { bodiesBytesMax, repliesBytesMax, bulkThreshold };
  const rows = rowsMax === null ? {} : { rowsMax };
  return { ...held, realtimeTargetMs, ...onTheWay, ...rows };
}

export function shownMachine({
  machine,
  options,
}: Configuration): NonNullable<StatusResponse["machine"]> {
  const { cores, memoryBytes } = machine;
  const availableMemoryBytes = process.availableMemory();
  const { lacks } = platform;
  return { cores, threads: options.threads, memoryBytes, availableMemoryBytes, lacks };
}
