import type { FedPipeline, PipelineView } from "./fed-pipeline.js";
import type { ModelState } from "./model-state.js";
import type { BatchBounds, Policy } from "./policy.js";
import { classOf, type Rank, ranks } from "./rank.js";

export interface RoomOptions {
  readonly policy: Policy;
  readonly ageLimitMs: number;
  /** Rows that a continuous pipeline may hold beyond its `rowsMax`. */
  readonly prefetchRows: number;
  readonly nowMs: number;
}

/** Pipelines with room for a rank, and the effort that they hold together beside it, in units × rows. */
interface FreePipelines {
  /** The sums are of pipelines that have room when the oldest of the rank is (is not) over the age limit. */
  readonly aged: boolean;
  count: number;
  effort: number;
}

/** Batches that a one-shot pipeline holds: one that runs, one that waits in the child. */
const oneShotBatchesMax = 2;

/**
 * Of a model that says how large its runs are, a pipeline is given as much as it is through with in this time, and some rows in
 * any case, so that all of its stages have work; and two runs at most. The rest stays here, where who comes next is decided
 * anew for each.
 */
const roomMs = 400;
const roomRowsMin = 4;

/**
 * How much each pipeline of a model may be sent. Made for one feed, during which pipelines only fill up: the sums over all
 * pipelines are taken once and follow each batch that leaves, so that bounds cost O(1), whatever the number of pipelines.
 * Only when the oldest item of a class stops being over the age limit are they taken again, once in a feed at most.
 *
 * ```
 *   rows      p1 ▓▓▓▓▓▓▓▓│▓▓  no room: does not count
 *             p2 ▓▓▓·····│··  ┐ count 2; even share for p2 = (effort of p2, p3 and the queue) / 2 - effort of p2
 *             p3 ▓▓▓▓▓▓··│··  ┘
 * ```
 * Room is a matter of rows, a share of effort (units × rows): were it one of rows too, whoever is asked first would have the longest
 * of every request, and be busy long after the others. What gives way is no effort to whom it gives way.
 */
export class Rooms {
  readonly #model: ModelState;
  readonly #options: RoomOptions;
  /** Rows that are worth having on a pipeline; `Infinity` where the pipeline alone says how many. */
  readonly #worthRows: number;
  readonly #free: Partial<Record<Rank, FreePipelines>> = {};

  constructor(model: ModelState, options: RoomOptions) {
    this.#model = model;
    this.#options = options;
    const { place, pace } = model;
    const withinTime = Math.max(roomRowsMin, Math.floor(pace.rowsWithin(roomMs)));
    this.#worthRows =
      place.runRowsMax === null ? Infinity : Math.min(2 * place.runRowsMax, withinTime);
  }

  /** Pipelines that are fed as usual and may have room, in the order in which they came up. */
  open(among: readonly FedPipeline[]): FedPipeline[] {
    return among.filter((pipeline) => !pipeline.isClosed && this.#mayTake(pipeline));
  }

  /** Whether anything that is queued could be sent there; false stays false to the end of the feed. */
  #mayTake(pipeline: FedPipeline): boolean {
    const { mode } = pipeline.capacity;
    const batchesMax =
      this.#options.policy.batchesMax ?? (mode === "one-shot" ? oneShotBatchesMax : Infinity);
    if (pipeline.batches.length >= batchesMax) return false;
    for (const rank of ranks) {
      if (!this.serves(pipeline, rank)) continue;
      if (mode === "one-shot" || pipeline.rows[rank] === 0) return true;
      if (this.#room(pipeline, rank, this.#aged(rank)) > 0) return true;
    }
    return false;
  }

  /** Whether the pipeline serves the rank and something of it is queued. */
  serves(pipeline: FedPipeline, rank: Rank): boolean {
    return this.#model.queues[rank].items > 0 && this.#model.serves(pipeline, classOf(rank));
  }

  bounds(pipeline: FedPipeline, rank: Rank): BatchBounds {
    const { rowsMax, mode } = pipeline.capacity;
    if (mode === "one-shot") {
      const costMax = this.#model.cost.costMax(classOf(rank));
      return { rowsMax, effortShare: Infinity, costMax, oversizeAlone: true };
    }
    return {
      rowsMax: this.#room(pipeline, rank, this.#aged(rank)),
      effortShare: this.#options.policy.shares ? this.#share(pipeline, rank) : Infinity,
      // Level two packs encoder chunks and decoder steps by itself.
      costMax: Infinity,
      oversizeAlone: pipeline.rows[rank] === 0,
    };
  }

  /** Runs what sends a batch to the pipeline, and keeps the sums. */
  sending(pipeline: FedPipeline, send: () => void): void {
    this.#count(pipeline, -1);
    send();
    this.#count(pipeline, 1);
  }

  /** As if all that is queued were spread so that the free pipelines have the same effort. */
  #share(pipeline: FedPipeline, rank: Rank): number {
    const { count, effort } = this.#freeFor(rank);
    const all = effort + this.#model.queues[rank].effort;
    return all / Math.max(1, count) - pipeline.effortBeside(rank);
  }

  #freeFor(rank: Rank): FreePipelines {
    const aged = this.#aged(rank);
    const known = this.#free[rank];
    if (known?.aged === aged) return known;
    const free: FreePipelines = { aged, count: 0, effort: 0 };
    for (const pipeline of this.#model.pipelines) this.#add(free, { pipeline, rank, sign: 1 });
    this.#free[rank] = free;
    return free;
  }

  #count(pipeline: FedPipeline, sign: 1 | -1): void {
    for (const rank of ranks) {
      const free = this.#free[rank];
      if (free !== undefined) this.#add(free, { pipeline, rank, sign });
    }
  }

  #add(
    free: FreePipelines,
    one: { readonly pipeline: FedPipeline; readonly rank: Rank; readonly sign: 1 | -1 },
  ): void {
    const { pipeline, rank, sign } = one;
    const isFree =
      !pipeline.isClosed &&
      this.#model.serves(pipeline, classOf(rank)) &&
      this.#room(pipeline, rank, free.aged) > 0;
    if (!isFree) return;
    free.count += sign;
    free.effort += sign * pipeline.effortBeside(rank);
  }

  #aged(rank: Rank): boolean {
    const oldest = this.#model.queues[rank].oldest.first;
    return (
      oldest !== undefined && this.#options.nowMs - oldest.arrivedMs > this.#options.ageLimitMs
    );
  }

  /** Rows of a rank that a continuous pipeline may be sent beyond what it holds. */
  #room(pipeline: PipelineView, rank: Rank, aged: boolean): number {
    const { rows, capacity } = pipeline;
    const worthRows = Math.min(this.#worthRows, capacity.rowsMax + this.#options.prefetchRows);
    const isBounded = this.#worthRows < capacity.rowsMax + this.#options.prefetchRows;
    const rowsMax = isBounded ? Math.ceil(worthRows / 2) : capacity.rowsMax;
    const prefetchRows = worthRows - rowsMax;
    const common = worthRows - rows.small - rows.large - rows.bulk;
    if (rank === "small") return Math.max(common, rowsMax - rows.small);
    // What fills the common places for long must not lock out who gives way: what is over the age limit counts its own rank only.
    if (aged) return worthRows - rows[rank];
    // While more than half of the waiting places are taken, nothing more is sent: then a batch is many sentences of
    // about one length, and not one for each row that ends.
    const gathered = 2 * common >= prefetchRows ? common : 0;
    return rank === "large" ? Math.max(gathered, rowsMax - rows.large) : gathered;
  }
}
