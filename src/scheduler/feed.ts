import type { ClassQueue } from "./class-queue.js";
import type { FedPipeline } from "./fed-pipeline.js";
import type { ModelState } from "./model-state.js";
import type { BatchBounds, BatchChoice, PolicyView } from "./policy.js";
import { type Rank, ranks } from "./rank.js";
import { type RoomOptions, Rooms } from "./rooms.js";

export interface FeedOptions extends RoomOptions {
  /** Carries the choice out: afterwards the items are the pipeline's. */
  readonly dispatch: (pipeline: FedPipeline, choice: BatchChoice) => void;
}

/**
 * Gives every pipeline of a model what the policy chooses, in rounds, the emptiest pipeline first, until nothing more
 * fits. Returns when a window ends, or `Infinity`.
 *
 * ```
 *   round 1: look at p1 … pP ──► have room: p3 p1 ──ask──► batch for p3, none for p1
 *   round 2: look at p3 p1   ──► has room:  p1    ──ask──► none                      nothing was sent: done
 * ```
 * The first round looks at each pipeline (rows against room, nothing more), the next ones at those that had room; only
 * those are sorted, and only for them the policy is asked. A round follows each in which something was sent, so a feed of
 * P pipelines costs O(P) looks, and then at most one look and one question to each with room for every batch that the
 * best-served of them gets. With nothing queued it costs nothing.
 */
export function feed(model: ModelState, options: FeedOptions): number {
  const rooms = new Rooms(model, options);
  let open: readonly FedPipeline[] = model.pipelines;
  for (;;) {
    if (model.queuedItems === 0) return Infinity;
    open = rooms.open(open);
    let windowEndsMs = Infinity;
    let sent = false;
    for (const pipeline of open.length > 1 ? open.toSorted(emptierFirst) : open) {
      const choice = options.policy.choose(new Question(pipeline, model, { rooms, options }));
      if (choice.type === "wait") {
        model.queues[choice.rank].windowOpen = true;
        windowEndsMs = Math.min(windowEndsMs, choice.untilMs);
      } else if (choice.type === "batch") {
        model.queues[choice.rank].windowOpen = false;
        rooms.sending(pipeline, () => options.dispatch(pipeline, choice));
        sent = true;
      }
    }
    if (!sent) return windowEndsMs;
  }
}

/**
 * What gives way counts only between those that are equal without it, and what is in a process of its other models where a model has
 * as much on both.
 */
function emptierFirst(a: FedPipeline, b: FedPipeline): number {
  return (
    a.effortBeside("small") - b.effortBeside("small") ||
    a.effortBeside("bulk") - b.effortBeside("bulk") ||
    a.host.items - b.host.items
  );
}

/** One pipeline of a model, at one moment of a feed. */
class Question implements PolicyView {
  readonly nowMs: number;
  readonly pipeline: FedPipeline;
  readonly queues: Partial<Record<Rank, ClassQueue>> = {};
  readonly #model: ModelState;
  readonly #rooms: Rooms;

  constructor(
    pipeline: FedPipeline,
    model: ModelState,
    { rooms, options }: { readonly rooms: Rooms; readonly options: FeedOptions },
  ) {
    this.nowMs = options.nowMs;
    this.pipeline = pipeline;
    this.#model = model;
    this.#rooms = rooms;
    for (const rank of ranks)
      if (rooms.serves(pipeline, rank)) this.queues[rank] = model.queues[rank];
  }

  get busyMs(): number {
    return this.pipeline.host.busyMs(this.nowMs);
  }

  bounds(rank: Rank): BatchBounds {
    return this.#rooms.bounds(this.pipeline, rank);
  }

  expectedMs(paddedUnits: number): number {
    return this.#model.service.expectedMs(paddedUnits);
  }
}
