import type { LineCursor, ReadonlyLine } from "./age-line.js";
import type { RequestsBy } from "./age-lines.js";
import { BatchDraft } from "./batch-draft.js";
import type { ClassQueueView } from "./class-queue.js";
import type { Choice, Policy, PolicyOptions, PolicyView } from "./policy.js";
import { type Rank, ranks } from "./rank.js";
import type { ItemEntry, RequestEntry } from "./request-book.js";
import { takeByAge, takeGroup } from "./take.js";
import type { TenantView } from "./tenants.js";
import { windowMs } from "./window.js";

const bulkFirst: readonly Rank[] = ["bulk", "small", "large"];

/** Buckets (an eighth of an octave each) that a one-shot batch may reach above its first item's length … */
const bucketsAbove = 2;
/** … and below it: down to half the length. */
const bucketsBelow = 8;

/**
 * Millrace's own policy. Ranks in their order (rank.ts): small realtime, large realtime, bulk; in a rank the oldest first once it is
 * over the age limit, else the tenant
 * that was served least, and of that tenant the request with the highest response ratio; around its widest item, the
 * neighbours in length of the same batch key: its own, its tenant's, everybody's; of realtime the oldest, of bulk the nearest.
 *
 * **No starvation.** Once older than `ageLimitMs`, an item is preceded only by items of its rank that are older still
 * (or of the same age), by those that ride along in a batch that an older one leads because they share its batch key,
 * by suspects that run alone, and in one-shot pipelines by at most one realtime batch for each bulk batch. For continuous ones
 * each rank has rows that the others cannot take, so none waits for another here; inside, who gives way keeps a share of the time.
 */
export class MillracePolicy implements Policy {
  readonly name = "millrace";
  readonly batchesMax = null;
  readonly recalls = true;
  readonly shares = true;
  readonly agedFirst = true;
  readonly ranksLarge = true;
  readonly #options: PolicyOptions;

  constructor(options: PolicyOptions) {
    this.#options = options;
  }

  choose(view: PolicyView): Choice {
    for (const rank of this.#order(view)) {
      const queue = view.queues[rank];
      if (queue === undefined) continue;
      const choice = this.#fromQueue(queue, view);
      // Bulk must not take the place that realtime waits for: a batch that runs cannot be had back.
      if (choice.type !== "none") return choice;
    }
    return { type: "none" };
  }

  #order({ queues, pipeline, nowMs }: PolicyView): readonly Rank[] {
    const bulkIsAged = queues.bulk !== undefined && this.#aged(queues.bulk.oldest.first, nowMs);
    const bulksTurn = bulkIsAged && pipeline.lastClass === "realtime";
    return bulksTurn ? bulkFirst : ranks;
  }

  #fromQueue(queue: ClassQueueView, view: PolicyView): Choice {
    const draft = new BatchDraft(view.bounds(queue.rank));
    const aged = this.#aged(queue.oldest.first, view.nowMs);
    if (aged) takeByAge(draft, queue, (request) => this.#aged(request, view.nowMs));
    else this.#fillFromFairest(draft, queue, view);
    if (draft.items.length === 0) return { type: "none" };
    if (!aged && !draft.full) {
      const ms = this.#windowMs(draft, queue, view);
      if (ms > 0) return { type: "wait", rank: queue.rank, untilMs: view.nowMs + ms };
    }
    const free = queue.windowOpen ? "window" : "pipeline-free";
    const reason = aged ? "aged" : draft.overflows ? "full" : free;
    return { type: "batch", rank: queue.rank, reason, items: draft.items };
  }

  #windowMs(draft: BatchDraft, queue: ClassQueueView, view: PolicyView): number {
    if (view.pipeline.capacity.mode === "continuous") return 0;
    const oldest = queue.oldest.first;
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
    const center = group.queued.widestBucket ?? 0;
    const continuous = view.pipeline.capacity.mode === "continuous";
    const near = (bucket: number): boolean =>
      continuous || (bucket <= center + bucketsAbove && bucket >= center - bucketsBelow);
    takeGroup(draft, group, near);
    for (const byLength of [tenant.byLength(batchKey), queue.byLength(batchKey)]) {
      if (draft.full || byLength === undefined) continue;
      const neighbours = new Neighbours(draft, batchKey, { byLength, near });
      // Somebody waits for each of realtime; bulk wants the least padding.
      if (queue.rank !== "bulk") neighbours.takeOldest();
      else neighbours.takeNearest(center);
    }
  }

  /**
   * (waiting + expected service) / expected service, over the requests of one tenant. Requests of about one size are
   * in one line, the oldest first, which has the highest ratio of them to within the factor of 1.42 of a size class;
   * so only the heads are compared.
   *
   * What takes less than realtime work may wait counts as that much: among those nobody gains by going first what the others
   * lose, so they are taken in the order in which they came.
   */
  #highestResponseRatio(tenant: TenantView, view: PolicyView): RequestEntry | undefined {
    const { realtimeTargetMs } = this.#options;
    let best: RequestEntry | undefined;
    let bestRatio = -1;
    for (const { first: request } of tenant.bySize.values()) {
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

/**
 * Fills a draft with others of its batch key. It ends at the first item that does not fit, so it looks at one request more than it takes,
 * and at those that it took before.
 */
class Neighbours {
  readonly #draft: BatchDraft;
  readonly #batchKey: string;
  readonly #drafted: Set<ItemEntry>;
  readonly #buckets: number[] = [];
  readonly #lines: ReadonlyLine[] = [];

  constructor(
    draft: BatchDraft,
    batchKey: string,
    of: { readonly byLength: RequestsBy; readonly near: (bucket: number) => boolean },
  ) {
    this.#draft = draft;
    this.#batchKey = batchKey;
    this.#drafted = new Set(draft.items);
    for (const [bucket, line] of of.byLength) {
      if (!of.near(bucket)) continue;
      this.#buckets.push(bucket);
      this.#lines.push(line);
    }
  }

  /** Nearest length first, in a length the oldest request first. */
  takeNearest(center: number): void {
    const away = (at: number): number => Math.abs((this.#buckets[at] ?? 0) - center);
    const places = [...this.#buckets.keys()].sort((a, b) => away(a) - away(b));
    for (const at of places) {
      const cursor = this.#lines[at]?.cursor();
      for (let request = cursor?.current; request !== undefined; request = cursor?.current) {
        if (!this.#take(this.#buckets[at] ?? 0, request)) return;
        cursor?.next();
      }
    }
  }

  /** The oldest request first, whatever its length. */
  takeOldest(): void {
    const heads = this.#lines.map((line) => line.first);
    const cursors: LineCursor[] = [];
    for (;;) {
      let first = -1;
      let sequence = Infinity;
      for (let at = 0; at < heads.length; at += 1) {
        const its = heads[at]?.sequence ?? Infinity;
        if (its >= sequence) continue;
        first = at;
        sequence = its;
      }
      const request = heads[first];
      if (request === undefined || !this.#take(this.#buckets[first] ?? 0, request)) return;
      // Few lines are read beyond their first.
      const cursor = cursors[first] ?? this.#lines[first]?.cursor();
      if (cursor === undefined) return;
      cursors[first] = cursor;
      cursor.next();
      heads[first] = cursor.current;
    }
  }

  /** Widest first; false: the draft is full. */
  #take(bucket: number, request: RequestEntry): boolean {
    const queued = request.groups.get(this.#batchKey)?.queued;
    if (queued === undefined) return true;
    for (let place = queued.endOf(bucket) - 1; place >= 0; place -= 1) {
      const item = queued.at(place);
      if (item?.bucket !== bucket) break;
      if (!this.#drafted.has(item) && !this.#draft.add(item)) return false;
    }
    return !this.#draft.full;
  }
}
