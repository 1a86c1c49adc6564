import type { WorkClass } from "millrace-client/wire";
import { BatchDraft } from "./batch-draft.js";
import type { ClassQueueView } from "./class-queue.js";
import type { Choice, Policy, PolicyView } from "./policy.js";
import type { RequestEntry } from "./request-book.js";
import { takeGroup } from "./take.js";

/** First come, first served: requests strictly in the order of their arrival, whatever their class, length or tenant. */
export class FirstComePolicy implements Policy {
  readonly name = "fcfs";
  readonly batchesMax = null;
  readonly recalls = false;
  readonly shares = true;

  choose(view: PolicyView): Choice {
    const workClass = classOfOldest(view);
    const queue = workClass === null ? undefined : view.queues[workClass];
    if (workClass === null || queue === undefined) return { type: "none" };
    const other = view.queues[workClass === "bulk" ? "realtime" : "bulk"]?.oldest.first;
    const draft = new BatchDraft(view.bounds(workClass));
    takeInOrder(
      draft,
      queue,
      (request) => other === undefined || request.sequence < other.sequence,
    );
    if (draft.items.length === 0) return { type: "none" };
    const reason = draft.overflows ? "full" : "pipeline-free";
    return { type: "batch", class: workClass, reason, items: draft.items };
  }
}

/** The class whose oldest queued request came first; null: nothing is queued. */
function classOfOldest({ queues }: PolicyView): WorkClass | null {
  const realtime = queues.realtime?.oldest.first;
  const bulk = queues.bulk?.oldest.first;
  if (realtime === undefined) return bulk === undefined ? null : "bulk";
  return bulk === undefined || realtime.sequence < bulk.sequence ? "realtime" : "bulk";
}

/** Takes request by request, oldest first, up to the first that has anything which cannot come along. */
function takeInOrder(
  draft: BatchDraft,
  queue: ClassQueueView,
  may: (request: RequestEntry) => boolean,
): void {
  const batchKey = queue.oldest.first?.queuedGroups.peek()?.batchKey;
  if (batchKey === undefined) return;
  for (const request of queue.oldest.ordered()) {
    const group = request.groups.get(batchKey);
    if (!may(request) || group === undefined || !takeGroup(draft, group)) return;
    // The items of its other keys are next, before any younger request.
    if (group.queued.size < request.queuedItems) return;
  }
}
