import type { ReadonlyLine } from "./age-line.js";
import { BatchDraft } from "./batch-draft.js";
import type { ClassQueueView } from "./class-queue.js";
import type { Choice, Policy, PolicyOptions, PolicyView } from "./policy.js";
import type { RequestEntry } from "./request-book.js";
import { takeGroup } from "./take.js";

const batchItemsMax = 64;
/**
 * The seeds weigh how much a request brings against when it came, and name no weights. With this one a request of 128 stands behind those
 * of 8 that come within 1.2 s, which their own workload of such asks for.
 */
const itemWeightMs = 10;

/**
 * The router of the seeds, for comparison: a batch is 64 items of one batch key, or fewer once the oldest has waited for the window, taken
 * request by request in the order of time of arrival + a weight for each item; a pipeline has one batch at a time and gets the next
 * when all of it is settled.
 */
export class SeedRouterPolicy implements Policy {
  readonly name = "seed-router";
  readonly batchesMax = 1;
  readonly recalls = false;
  readonly shares = false;
  readonly agedFirst = false;
  readonly ranksLarge = false;
  readonly #windowMs: number;

  constructor(options: PolicyOptions) {
    this.#windowMs = options.windowMsMax;
  }

  choose(view: PolicyView): Choice {
    let wait: Choice = { type: "none" };
    for (const queue of [view.queues.small, view.queues.bulk]) {
      if (queue === undefined) continue;
      const choice = this.#fromQueue(queue, view);
      if (choice.type === "batch") return choice;
      if (wait.type === "none") wait = choice;
      else if (choice.type === "wait" && choice.untilMs < wait.untilMs) wait = choice;
    }
    return wait;
  }

  #fromQueue(queue: ClassQueueView, view: PolicyView): Choice {
    const oldest = queue.oldest.first;
    if (oldest === undefined) return { type: "none" };
    const bounds = view.bounds(queue.rank);
    const draft = new FixedDraft({ ...bounds, costMax: Infinity, effortShare: Infinity });
    takeByPriority(draft, queue);
    if (draft.items.length === 0) return { type: "none" };
    const windowEndsMs = oldest.arrivedMs + this.#windowMs;
    if (!draft.full && view.nowMs < windowEndsMs)
      return { type: "wait", rank: queue.rank, untilMs: windowEndsMs };
    const reason = draft.full ? "full" : "window";
    return { type: "batch", rank: queue.rank, reason, items: draft.items };
  }
}

/** Full at 64 items, whatever they cost. */
class FixedDraft extends BatchDraft {
  override add(item: BatchDraft["items"][number]): boolean {
    const added = super.add(item);
    if (this.items.length >= batchItemsMax) this.full = true;
    return added;
  }
}

/** Looks at every request that waits, once for each that it takes: the seeds' router is here to be compared, with what it decides. */
function takeByPriority(draft: BatchDraft, queue: ClassQueueView): void {
  const taken = new Set<RequestEntry>();
  const first = firstOf(queue.oldest, taken);
  const batchKey = first?.queuedGroups.peek()?.batchKey;
  if (batchKey === undefined) return;
  const line = queue.oldestOf(batchKey);
  for (let next = first; next !== undefined; next = firstOf(line, taken)) {
    const group = next.groups.get(batchKey);
    if (group === undefined || !takeGroup(draft, group) || draft.full) return;
    taken.add(next);
  }
}

function firstOf(
  line: ReadonlyLine | undefined,
  taken: ReadonlySet<RequestEntry>,
): RequestEntry | undefined {
  let best: RequestEntry | undefined;
  let bestMs = Infinity;
  const cursor = line?.cursor();
  for (let next = cursor?.current; next !== undefined; next = cursor?.current) {
    // Whoever follows came later still.
    if (next.arrivedMs >= bestMs) break;
    const ms = next.arrivedMs + itemWeightMs * next.items.length;
    if (ms < bestMs && !taken.has(next)) {
      best = next;
      bestMs = ms;
    }
    cursor?.next();
  }
  return best;
}
