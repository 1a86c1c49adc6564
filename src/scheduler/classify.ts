import type { WorkClass } from "millrace-client/wire";

/** The class that the caller named, else by size: below `bulkThreshold` items is realtime. */
export function classify(items: number, named: WorkClass | null, bulkThreshold: number): WorkClass {
  return named ?? (items < bulkThreshold ? "realtime" : "bulk");
}
