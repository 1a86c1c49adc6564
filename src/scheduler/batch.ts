import { BatchSums } from "./batch-sums.js";
import type { BatchChoice } from "./policy.js";
import { classOf } from "./rank.js";
import { byRequest, type Share } from "./request-book.js";
import type { Batch, Segment } from "./types.js";

/** What is sent and told of a choice. */
export function batchOf(
  choice: Omit<BatchChoice, "type">,
  at: {
    readonly batchId: number;
    readonly nowMs: number;
    /** Default: false. */
    readonly givesWay?: boolean;
    /** Its items by request, where they are known. */
    readonly shares?: readonly Share[];
  },
): Batch {
  const { items, reason } = choice;
  const sums = new BatchSums();
  let oldestMs = at.nowMs;
  for (const item of items) {
    sums.add(item);
    oldestMs = Math.min(oldestMs, item.request.arrivedMs);
  }
  return {
    batchId: at.batchId,
    model: items[0]?.request.model ?? "",
    class: classOf(choice.rank),
    givesWay: at.givesWay ?? false,
    reason,
    exclusive: reason === "exclusive",
    segments: (at.shares ?? byRequest(items)).map(segmentOf),
    rows: sums.rows,
    units: sums.units,
    paddedUnits: sums.paddedUnits,
    waitedMs: at.nowMs - oldestMs,
  };
}

/** In its request's packing order. */
function segmentOf({ request: { requestId }, items }: Share): Segment {
  const sorted = items.length > 1 ? items.toSorted((a, b) => a.order - b.order) : items;
  return { requestId, itemIds: sorted.map((item) => item.itemId) };
}
