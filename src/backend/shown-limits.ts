/** What of the options the status tells beside what is held within it. */
import type { StatusResponse } from "millrace-client/wire";
import type { Options } from "../options/options.js";

export function shownLimits({
  queuedItemsMax,
  queuedBytesMax,
  modelMemoryBytes,
  connectionsMax,
  realtimeTargetMs,
}: Options): NonNullable<StatusResponse["limits"]> {
  return { queuedItemsMax, queuedBytesMax, modelMemoryBytes, connectionsMax, realtimeTargetMs };
}
