import type { WorkClass } from "millrace-client/wire";
import { BatchDraft } from "./batch-draft.js";
import type { ClassQueueView } from "./class-queue.js";
import type { ReadonlyHeap } from "./ordered-heap.js";
import type { Choice, Policy, PolicyOptions, PolicyView } from "./policy.js";
import type { RequestEntry } from "./request-book.js";
import { cameBefore } from "./request-heaps.js";
import { takeByAge, takeGroup, takeOrder } from "./take.js";
import type { TenantView } from "./tenants.js";
import { windowMs } from "./window.js";

/** Buckets (an eighth of an octave each) that a one-shot batch may reach above its first item's length … */
const bucketsAbove = 2;
/** … and below it: down to half the length. */
const bucketsBelow = 8;

/**
 * Millrace's own policy. Realtime before bulk; in a class the oldest first once it is over the age limit, else the tenant
 * that was served least, and of that tenant the request with the highest response ratio; around its widest item, the
 * neighbours in length of the same batch key: its own, its tenant's, everybody's; of realtime the oldest, of bulk the nearest.
 *
 * **No starvation.** Once older than `ageLimitMs`, an item is preceded only by items of its class that are older still
 * (or of the same age), by those that ride along in a batch that an older one leads because they share its batch key,
 * by suspects that run alone, and in one-shot pipelines by at most one realtime batch for each bulk batch. For continuous ones
 * the classes have rows of their own, so neither waits for the other here.
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
      const queue = view.queues[workClass];
      if (queue === undefined) continue;
      const choice = this.#fromQueue(queue, view);
      // Bulk must not take the place that realtime waits for: a batch that runs cannot be had back.
      if (choice.type !== "none") return choice;
    }
    return { type: "none" };
  }

  #classOrder({ queues, pipeline, nowMs }: PolicyView): readonly WorkClass[] {
    const bulkIsAged = queues.bulk !== undefined && this.#aged(queues.bulk.oldest.peek(), nowMs);
    const bulksTurn = bulkIsAged && pipeline.lastClass === "realtime";
    return bulksTurn ? ["bulk", "realtime"] : ["realtime", "bulk"];
  }

  #fromQueue(queue: ClassQueueView, view: PolicyView): Choice {
    const draft = new BatchDraft(view.bounds(queue.class));
    const aged = this.#aged(queue.oldest.peek(), view.nowMs);
    if (aged) takeByAge(draft, queue, (request) => this.#aged(request, view.nowMs));
    else this.#fillFromFairest(draft, queue, view);
    if (draft.items.length === 0) return { type: "none" };
    if (!aged && !draft.full) {
      const ms = this.#windowMs(draft, queue, view);
      if (ms > 0) return { type: "wait", class: queue.class, untilMs: view.nowMs + ms };
    }
    const free = queue.windowOpen ? "window" : "pipeline-free";
    const reason = aged ? "aged" : draft.overflows ? "full" : free;
    return { type: "batch", class: queue.class, reason, items: draft.items };
  }

  #windowMs(draft: BatchDraft, queue: ClassQueueView, view: PolicyView): number {
    if (view.pipeline.capacity.mode === "continuous") return 0;
    const oldest = queue.oldest.peek();
    const arrivals = queue.arrivals(draft.items[0]?.kin.batchKey ?? "");
    return windowMs({
      items: draft.items.length,
      runMs: view.expectedMs(draft.paddedUnits),
      waitedMs: oldest === undefined ? 0 : view.nowMs - oldest.arrivedMs,
      gapMs: arrivals.gapMs(view.nowMs),
      arrivalItems: arrivals.items,
      busyMs: view.busyMs,
      windowMsMax: this.#options.windowMsMax,
    });
  }

  #fillFromFairest(draft: BatchDraft, queue: ClassQueueView, view: PolicyView): void {
    const tenant = queue.fairest;
    const group =
      tenant === undefined
        ? undefined
        : this.#highestResponseRatio(tenant, view)?.queuedGroups.peek();
    if (tenant === undefined || group === undefined) return;
    const { batchKey } = group;
    const center = Math.max(...group.byLength.keys());
    const continuous = view.pipeline.capacity.mode === "continuous";
    const near = (bucket: number): boolean =>
      continuous || (bucket <= center + bucketsAbove && bucket >= center - bucketsBelow);
    if (!takeGroup(draft, group, near)) return;
    for (const byLength of [tenant.byLength(batchKey), queue.byLength(batchKey)]) {
      if (byLength === undefined) continue;
      const among = [...byLength].filter(([bucket]) => near(bucket));
      // Somebody waits for each of realtime; bulk wants the least padding.
      const order = queue.class === "realtime" ? oldestFirst(among) : nearestFirst(among, center);
      fillNeighbours(draft, batchKey, order);
    }
  }

  /**
   * (waiting + expected service) / expected service, over the requests of one tenant. Requests of about one size are
   * in one heap, the oldest first, which has the highest ratio of them to within the factor of 1.42 of a size class;
   * so only the heads are compared.
   *
   * What takes less than realtime work may wait counts as that much: among those nobody gains by going first what the others
   * lose, so they are taken in the order in which they came.
   */
  #highestResponseRatio(tenant: TenantView, view: PolicyView): RequestEntry | undefined {
    const { realtimeTargetMs } = this.#options;
    let best: RequestEntry | undefined;
    let bestRatio = -1;
    for (const heap of tenant.bySize.values()) {
      const request = heap.peek();
      if (request === undefined) continue;
      const serviceMs = Math.max(view.expectedMs(request.queuedUnits), realtimeTargetMs);
      const ratio = (view.nowMs - request.arrivedMs) / serviceMs;
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

  #aged(request: RequestEntry | undefined, nowMs: number): boolean {
    return request !== undefined && nowMs - request.arrivedMs > this.#options.ageLimitMs;
  }
}

/** A request with queued items of a length bucket. */
type Neighbour = readonly [bucket: number, request: RequestEntry];

type HeapsByLength = readonly (readonly [bucket: number, ReadonlyHeap<RequestEntry>])[];

/** Nearest length first, in a length the oldest request first. */
function* nearestFirst(among: HeapsByLength, center: number): Generator<Neighbour> {
  const buckets = among.toSorted(([a], [b]) => Math.abs(a - center) - Math.abs(b - center));
  for (const [bucket, heap] of buckets)
    for (const request of heap.ordered()) yield [bucket, request];
}

/** The oldest request first, whatever its length. */
function* oldestFirst(among: HeapsByLength): Generator<Neighbour> {
  const lines = among.map(([bucket, heap]) => {
    const requests = heap.ordered();
    return { bucket, requests, head: requests.next() };
  });
  for (;;) {
    let oldest: Neighbour | undefined;
    for (const { bucket, head } of lines)
      if (head.done !== true && (oldest === undefined || cameBefore(head.value, oldest[1])))
        oldest = [bucket, head.value];
    if (oldest === undefined) return;
    yield oldest;
    for (const line of lines) if (line.bucket === oldest[0]) line.head = line.requests.next();
  }
}

/** It ends at the first item that does not fit, so it looks at one request more than it takes, and at those that it took before. */
function fillNeighbours(
  draft: BatchDraft,
  batchKey: string,
  neighbours: Iterable<Neighbour>,
): void {
  const drafted = new Set(draft.items);
  for (const [bucket, request] of neighbours) {
    if (draft.full) return;
    for (const item of takeOrder(request.groups.get(batchKey)?.byLength.get(bucket)))
      if (!drafted.has(item) && !draft.add(item)) return;
  }
}
