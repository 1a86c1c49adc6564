import { BatchDraft } from "./batch-draft.js";
import type { ClassQueueView } from "./class-queue.js";
import type { Choice, Policy, PolicyOptions, PolicyView } from "./policy.js";
import { takeByAge } from "./take.js";

const batchItemsMax = 64;

/**
 * The router of the seeds, for comparison: a batch is 64 items of one batch key in arrival order, or fewer once the oldest has waited for
 * the window; a pipeline has one batch at a time and gets the next when all of it is settled.
 */
export class SeedRouterPolicy implements Policy {
  readonly name = "seed-router";
  readonly batchesMax = 1;
  readonly recalls = false;
  readonly shares = false;
  readonly ranksLong = false;
  readonly #windowMs: number;

  constructor(options: PolicyOptions) {
    this.#windowMs = options.windowMsMax;
  }

  choose(view: PolicyView): Choice {
    let wait: Choice = { type: "none" };
    for (const queue of [view.queues.short, view.queues.bulk]) {
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
    const draft = new FixedDraft({ ...bounds, costMax: Infinity, workShare: Infinity });
    takeByAge(draft, queue, () => true);
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
