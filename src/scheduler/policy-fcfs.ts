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
  readonly agedFirst = false;
  readonly ranksLarge = false;

  choose(view: PolicyView): Choice {
    const queue = queueOfOldest(view);
    if (queue === undefined) return { type: "none" };
    const others = Object.values(view.queues).filter((other) => other !== queue);
    const nextAt = Math.min(...others.map(({ oldest }) => oldest.first?.sequence ?? Infinity));
    const draft = new BatchDraft(view.bounds(queue.rank));
    takeInOrder(draft, queue, (request) => request.sequence < nextAt);
    if (draft.items.length === 0) return { type: "none" };
    const reason = draft.overflows ? "full" : "pipeline-free";
    return { type: "batch", rank: queue.rank, reason, items: draft.items };
  }
}

/** The queue whose oldest request came first; undefined: nothing is queued. */
function queueOfOldest({ queues }: PolicyView): ClassQueueView | undefined {
  const sequence = ({ oldest }: ClassQueueView): number => oldest.first?.sequence ?? Infinity;
  const [first] = Object.values(queues).toSorted((a, b) => sequence(a) - sequence(b));
  return first;
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
