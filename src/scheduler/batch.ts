import { BatchSums } from "./batch-sums.js";
import type { BatchChoice } from "./policy.js";
import { byRequest, type ItemEntry } from "./request-book.js";
import type { Batch, Span } from "./types.js";

/** What is sent and told of a choice. */
export function batchOf(
  choice: Omit<BatchChoice, "type">,
  at: { readonly batchId: number; readonly nowMs: number },
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
    class: choice.class,
    reason,
    exclusive: reason === "exclusive",
    spans: spansOf(items),
    rows: sums.rows,
    units: sums.units,
    paddedUnits: sums.paddedUnits,
    waitedMs: at.nowMs - oldestMs,
  };
}

/** Items by request, each span in its request's packing order; requests in the order of their first item. */
function spansOf(items: readonly ItemEntry[]): Span[] {
  return [...byRequest(items)].map(([{ requestId }, list]) => ({
    requestId,
    itemIds: list.toSorted((a, b) => a.order - b.order).map((item) => item.itemId),
  }));
}
