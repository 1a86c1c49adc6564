/**
 * Who goes before whom. A caller's class is a promise of what comes first; within realtime, a request of more rows than half a pipeline
 * would hold all rows of one before a sentence that comes a moment later, so it has a rank, a queue and rows of its own.
 *
 * ```
 *   small   realtime                     goes first
 *   large   realtime of many rows        gives way to small, in the pipeline too, and keeps an eighth beside it
 *   bulk    bulk                         what these leave, and an eighth
 * ```
 */
import type { WorkClass } from "millrace-client/wire";

export type Rank = "small" | "large" | "bulk";

export const ranks: readonly Rank[] = ["small", "large", "bulk"];

export const ranksOf: Readonly<Record<WorkClass, readonly Rank[]>> = {
  realtime: ["small", "large"],
  bulk: ["bulk"],
};

export function classOf(rank: Rank): WorkClass {
  return rank === "bulk" ? "bulk" : "realtime";
}

/** What an engine runs a batch as: where it gives way, it is as bulk to other realtime. */
export function engineClassOf({
  class: workClass,
  givesWay,
}: {
  readonly class: WorkClass;
  readonly givesWay: boolean;
}): WorkClass {
  return givesWay ? "bulk" : workClass;
}

/** `largeRows`: of more than these, realtime is large. */
export function rankOf(
  { class: workClass, items }: { readonly class: WorkClass; readonly items: readonly Rows[] },
  largeRows: number,
): Rank {
  if (workClass === "bulk") return "bulk";
  let rows = 0;
  for (const item of items) rows += item.rows;
  return rows > largeRows ? "large" : "small";
}

interface Rows {
  readonly rows: number;
}
