import type { WorkClass } from "millrace-client/wire";
import { BatchDraft, takeOrder } from "./batch-draft.js";
import type { LaneView } from "./lane.js";
import type { Choice, Policy, PolicyView } from "./policy.js";
import type { RequestEntry } from "./request-book.js";

/** First come, first served: requests strictly in the order of their arrival, whatever their class, length or tenant. */
export class FirstComePolicy implements Policy {
  readonly name = "fcfs";
  readonly batchesMax = null;
  readonly recalls = false;
  readonly shares = true;

  choose(view: PolicyView): Choice {
    const workClass = classOfOldest(view);
    const lane = workClass === null ? undefined : view.lanes[workClass];
    if (workClass === null || lane === undefined) return { type: "none" };
    const other = view.lanes[workClass === "bulk" ? "realtime" : "bulk"]?.oldest.peek();
    const draft = new BatchDraft(view.bounds(workClass));
    takeByAge(draft, lane, (request) => other === undefined || request.sequence < other.sequence);
    if (draft.items.length === 0) return { type: "none" };
    const reason = draft.overflows ? "full" : "pipeline-free";
    return { type: "batch", class: workClass, reason, items: draft.items };
  }
}

/** The class whose oldest queued request came first; null: nothing is queued. */
export function classOfOldest({ lanes }: PolicyView): WorkClass | null {
  const realtime = lanes.realtime?.oldest.peek();
  const bulk = lanes.bulk?.oldest.peek();
  if (realtime === undefined) return bulk === undefined ? null : "bulk";
  return bulk === undefined || realtime.sequence < bulk.sequence ? "realtime" : "bulk";
}

/** Takes request by request, oldest first, as long as `may` says so and the bounds allow. */
export function takeByAge(
  draft: BatchDraft,
  lane: LaneView,
  may: (request: RequestEntry) => boolean,
): void {
  for (const request of lane.oldest.ordered()) {
    if (!may(request)) return;
    for (const bucket of [...request.queued.keys()].toSorted((a, b) => b - a)) {
      for (const item of takeOrder(request.queued.get(bucket))) if (!draft.add(item)) return;
    }
  }
}
