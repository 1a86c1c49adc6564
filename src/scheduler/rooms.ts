import { type WorkClass, workClasses } from "millrace-client/wire";
import type { FedPipeline, PipelineView } from "./fed-pipeline.js";
import type { ModelState } from "./model-state.js";
import type { BatchBounds, Policy } from "./policy.js";

export interface RoomOptions {
  readonly policy: Policy;
  readonly ageLimitMs: number;
  /** Rows that a continuous pipeline may hold beyond its `rowsMax`. */
  readonly prefetchRows: number;
  readonly nowMs: number;
}

/** Pipelines with room for a class, and the rows that they hold together. */
interface FreePipelines {
  /** The sums are of pipelines that have room when the oldest of the class is (is not) over the age limit. */
  readonly aged: boolean;
  count: number;
  rows: number;
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
 *   rows      p1 ▓▓▓▓▓▓▓▓│▓▓  no room: does not count            even share for p2 = ⌈(3 + 6 + queued rows) / 2⌉ - 3
 *             p2 ▓▓▓·····│··  ┐ count 2, rows 3 + 6
 *             p3 ▓▓▓▓▓▓··│··  ┘
 * ```
 */
export class Rooms {
  readonly #model: ModelState;
  readonly #options: RoomOptions;
  /** Rows that are worth having on a pipeline; `Infinity` where the pipeline alone says how many. */
  readonly #worthRows: number;
  readonly #free: Partial<Record<WorkClass, FreePipelines>> = {};

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
    for (const workClass of workClasses) {
      if (!this.serves(pipeline, workClass)) continue;
      if (mode === "one-shot" || pipeline.rows[workClass] === 0) return true;
      if (this.#room(pipeline, workClass, this.#aged(workClass)) > 0) return true;
    }
    return false;
  }

  /** Whether the pipeline serves the class and something of it is queued. */
  serves(pipeline: FedPipeline, workClass: WorkClass): boolean {
    return this.#model.queues[workClass].items > 0 && this.#model.serves(pipeline, workClass);
  }

  bounds(pipeline: FedPipeline, workClass: WorkClass): BatchBounds {
    const { rowsMax, mode } = pipeline.capacity;
    if (mode === "one-shot") {
      const costMax = this.#model.cost.costMax(workClass);
      return { rowsMax, rowsShare: Infinity, costMax, oversizeAlone: true };
    }
    return {
      rowsMax: this.#room(pipeline, workClass, this.#aged(workClass)),
      rowsShare: this.#options.policy.shares ? this.#share(pipeline, workClass) : Infinity,
      // Level two packs encoder chunks and decoder steps by itself.
      costMax: Infinity,
      oversizeAlone: pipeline.rows[workClass] === 0,
    };
  }

  /** Runs what sends a batch to the pipeline, and keeps the sums. */
  sending(pipeline: FedPipeline, send: () => void): void {
    this.#count(pipeline, -1);
    send();
    this.#count(pipeline, 1);
  }

  /** As if all that is queued were spread so that the free pipelines hold the same number of rows. */
  #share(pipeline: FedPipeline, workClass: WorkClass): number {
    const { count, rows } = this.#freeFor(workClass);
    const all = rows + this.#model.queues[workClass].rows;
    return Math.max(1, Math.ceil(all / Math.max(1, count)) - pipeline.load);
  }

  #freeFor(workClass: WorkClass): FreePipelines {
    const aged = this.#aged(workClass);
    const known = this.#free[workClass];
    if (known?.aged === aged) return known;
    const free: FreePipelines = { aged, count: 0, rows: 0 };
    for (const pipeline of this.#model.pipelines) this.#add(free, { pipeline, workClass, sign: 1 });
    this.#free[workClass] = free;
    return free;
  }

  #count(pipeline: FedPipeline, sign: 1 | -1): void {
    for (const workClass of workClasses) {
      const free = this.#free[workClass];
      if (free !== undefined) this.#add(free, { pipeline, workClass, sign });
    }
  }

  #add(
    free: FreePipelines,
    one: { readonly pipeline: FedPipeline; readonly workClass: WorkClass; readonly sign: 1 | -1 },
  ): void {
    const { pipeline, workClass, sign } = one;
    const isFree =
      !pipeline.isClosed &&
      this.#model.serves(pipeline, workClass) &&
      this.#room(pipeline, workClass, free.aged) > 0;
    if (!isFree) return;
    free.count += sign;
    free.rows += sign * pipeline.load;
  }

  #aged(workClass: WorkClass): boolean {
    const oldest = this.#model.queues[workClass].oldest.first;
    return (
      oldest !== undefined && this.#options.nowMs - oldest.arrivedMs > this.#options.ageLimitMs
    );
  }

  /** Rows of a class that a continuous pipeline may be sent beyond what it holds. */
  #room(pipeline: PipelineView, workClass: WorkClass, aged: boolean): number {
    const { rows, capacity } = pipeline;
    const worthRows = Math.min(this.#worthRows, capacity.rowsMax + this.#options.prefetchRows);
    const isBounded = this.#worthRows < capacity.rowsMax + this.#options.prefetchRows;
    const rowsMax = isBounded ? Math.ceil(worthRows / 2) : capacity.rowsMax;
    const prefetchRows = worthRows - rowsMax;
    const { realtime, bulk } = rows;
    const common = worthRows - realtime - bulk;
    if (workClass === "realtime") return Math.max(common, rowsMax - realtime);
    // Realtime that fills the common places for long must not lock out bulk: what is over the age limit counts bulk only.
    if (aged) return worthRows - bulk;
    // While more than half of the waiting places are taken, nothing more is sent: then a batch is many sentences of
    // about one length, and not one for each row that ends.
    return 2 * common >= prefetchRows ? common : 0;
  }
}
