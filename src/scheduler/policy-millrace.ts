import type { WorkClass } from "millrace-client/wire";
import { BatchDraft, takeOrder } from "./batch-draft.js";
import type { LaneView } from "./lane.js";
import { lingerMs } from "./linger.js";
import type { ReadonlyHeap } from "./ordered-heap.js";
import type { Choice, Policy, PolicyOptions, PolicyView } from "./policy.js";
import { takeByAge } from "./policy-fcfs.js";
import type { RequestEntry } from "./request-book.js";
import type { TenantView } from "./tenants.js";

/** Buckets (an eighth of an octave each) that a one-shot batch may reach above its first item's length … */
const bucketsAbove = 2;
/** … and below it: down to half the length. */
const bucketsBelow = 8;

/**
 * Millrace's own policy. Realtime before bulk; in a class the oldest first once it is over the age limit, else the tenant
 * that was served least, and of that tenant the request with the highest response ratio; around its longest item, the
 * neighbours in length: its own, its tenant's, everybody's.
 *
 * **No starvation.** Once older than `ageLimitMs`, an item is preceded only by items of its class that are older still
 * (or of the same age), by suspects that run alone, and in one-shot pipelines by at most one realtime batch for each
 * bulk batch. For generation the classes have rows of their own, so neither waits for the other here.
 */
export class MillracePolicy implements Policy {
  readonly name = "millrace";
  readonly batchesMax = null;
  readonly recalls = true;
  readonly shares = true;
  readonly #options: PolicyOptions;

  constructor(options: PolicyOptions) {
    this.#options = options;
  }

  choose(view: PolicyView): Choice {
    for (const workClass of this.#classOrder(view)) {
      const lane = view.lanes[workClass];
      if (lane === undefined) continue;
      const choice = this.#fromLane(lane, view);
      // Bulk must not take the place that realtime waits for: a batch that runs cannot be had back.
      if (choice.type !== "none") return choice;
    }
    return { type: "none" };
  }

  #classOrder({ lanes, pipeline, nowMs }: PolicyView): readonly WorkClass[] {
    const bulkIsAged = lanes.bulk !== undefined && this.#aged(lanes.bulk.oldest.peek(), nowMs);
    const bulksTurn = bulkIsAged && pipeline.lastClass === "realtime";
    return bulksTurn ? ["bulk", "realtime"] : ["realtime", "bulk"];
  }

  #fromLane(lane: LaneView, view: PolicyView): Choice {
    const draft = new BatchDraft(view.bounds(lane.class));
    const aged = this.#aged(lane.oldest.peek(), view.nowMs);
    if (aged) takeByAge(draft, lane, (request) => this.#aged(request, view.nowMs));
    else fillFromFairest(draft, lane, view);
    if (draft.items.length === 0) return { type: "none" };
    if (!aged && !draft.full) {
      const ms = this.#lingerMs(draft, lane, view);
      if (ms > 0) return { type: "wait", class: lane.class, untilMs: view.nowMs + ms };
    }
    const free = lane.windowOpen ? "window" : "pipeline-free";
    const reason = aged ? "aged" : draft.overflows ? "full" : free;
    return { type: "batch", class: lane.class, reason, items: draft.items };
  }

  #lingerMs(draft: BatchDraft, lane: LaneView, view: PolicyView): number {
    if (view.pipeline.spec.mode === "generation") return 0;
    const oldest = lane.oldest.peek();
    return lingerMs({
      items: draft.items.length,
      runMs: view.expectedMs(draft.paddedTokens),
      waitedMs: oldest === undefined ? 0 : view.nowMs - oldest.arrivedMs,
      gapMs: lane.arrivals.gapMs(view.nowMs),
      arrivalItems: lane.arrivals.items,
      busyMs: view.busyMs,
      lingerMsMax: this.#options.lingerMsMax,
    });
  }

  #aged(request: RequestEntry | undefined, nowMs: number): boolean {
    return request !== undefined && nowMs - request.arrivedMs > this.#options.ageLimitMs;
  }
}

function fillFromFairest(draft: BatchDraft, lane: LaneView, view: PolicyView): void {
  const tenant = lane.fairest;
  const first = tenant === undefined ? undefined : highestResponseRatio(tenant, view);
  if (tenant === undefined || first === undefined) return;
  const center = Math.max(...first.queued.keys());
  const generation = view.pipeline.spec.mode === "generation";
  const near = (bucket: number): boolean =>
    generation || (bucket <= center + bucketsAbove && bucket >= center - bucketsBelow);
  for (const bucket of [...first.queued.keys()].filter(near).toSorted((a, b) => b - a)) {
    for (const item of takeOrder(first.queued.get(bucket))) if (!draft.add(item)) return;
  }
  fillNeighbours(draft, { index: tenant.byLength, center, near });
  fillNeighbours(draft, { index: lane.byLength, center, near });
}

interface Neighbours {
  readonly index: ReadonlyMap<number, ReadonlyHeap<RequestEntry>>;
  readonly center: number;
  readonly near: (bucket: number) => boolean;
}

/**
 * Nearest length first, in a length the oldest request first. It ends at the first item that does not fit, so it
 * looks at one request more than it takes, and at those that it took before.
 */
function fillNeighbours(draft: BatchDraft, { index, center, near }: Neighbours): void {
  const drafted = new Set(draft.items);
  const buckets = [...index.keys()]
    .filter(near)
    .toSorted((a, b) => Math.abs(a - center) - Math.abs(b - center));
  for (const bucket of buckets) {
    for (const request of index.get(bucket)?.ordered() ?? []) {
      if (draft.full) return;
      for (const item of takeOrder(request.queued.get(bucket))) {
        if (!drafted.has(item) && !draft.add(item)) return;
      }
    }
  }
}

/**
 * (waiting + expected service) / expected service, over the requests of one tenant. Requests of about one size are
 * in one heap, the oldest first, which has the highest ratio of them to within the factor of 1.42 of a size class;
 * so only the heads are compared.
 */
function highestResponseRatio(tenant: TenantView, view: PolicyView): RequestEntry | undefined {
  let best: RequestEntry | undefined;
  let bestRatio = -1;
  for (const heap of tenant.bySize.values()) {
    const request = heap.peek();
    if (request === undefined) continue;
    const ratio = (view.nowMs - request.arrivedMs) / view.expectedMs(request.queuedTokens);
    const isBetter =
      ratio > bestRatio ||
      (ratio === bestRatio && best !== undefined && request.sequence < best.sequence);
    if (isBetter) {
      best = request;
      bestRatio = ratio;
    }
  }
  return best;
}
