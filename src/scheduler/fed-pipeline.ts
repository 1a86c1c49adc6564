import type { WorkClass } from "millrace-client/wire";
import type { Host } from "./host.js";
import type { ModelState } from "./model-state.js";
import type { Rank } from "./rank.js";
import { effortOf, type ItemEntry, type Whereabouts } from "./request-book.js";
import type { Batch, PipelineCapacity } from "./types.js";

export interface HeldBatch {
  readonly batchId: number;
  readonly class: WorkClass;
  /** Realtime may ask for it back while it waits in the child. */
  readonly recallable: boolean;
  readonly expectedMs: number;
  /** When it came first in its pipeline; null while it waits. */
  firstAtMs: number | null;
  recalled: boolean;
  /** As they were sent; some may have left. */
  readonly sent: readonly ItemEntry[];
  /** How many of them are still there. */
  items: number;
}

/** Those of its items that are still there. */
export function itemsOf(batch: HeldBatch): ItemEntry[] {
  return batch.sent.filter(
    ({ whereabouts }) => whereabouts.kind === "held" && whereabouts.batch === batch,
  );
}

/** What a policy sees of a pipeline. */
export interface PipelineView {
  readonly capacity: PipelineCapacity;
  /** In the order in which they were sent; for one-shot models the first runs and the second waits. */
  readonly batches: readonly HeldBatch[];
  readonly rows: Readonly<Record<Rank, number>>;
  readonly lastClass: WorkClass | null;
}

/**
 * A model on a pipeline: what the pipeline holds of it, as the scheduler believes. To its model it is the pipeline; what the
 * process does beside is the host's.
 *
 * ```
 *   one-shot:    batches = [ runs │ waits (recallable) ]
 *   continuous:  batches = [ … every batch with an unsettled item … ]      at most one for each row
 *                rows    │◄──── rowsMax ────►│◄ prefetch ►│        all ranks together
 *                        │◄──── rowsMax ────►│                     what is small has these whatever the others hold, what is large too
 * ```
 */
export class FedPipeline implements PipelineView {
  readonly capacity: PipelineCapacity;
  readonly host: Host;
  readonly model: ModelState;
  /** When it was loaded, and when something of it was in flight last. */
  readonly sinceMs: number;
  usedAtMs: number;
  /** Batches that it was sent. */
  uses = 0;
  /** It is fed no more and unloaded when it is empty. */
  leaving = false;
  readonly batches: HeldBatch[] = [];
  readonly rows: Record<Rank, number> = { small: 0, large: 0, bulk: 0 };
  /** Units × rows of what it holds of each rank. */
  readonly #effort: Record<Rank, number> = { small: 0, large: 0, bulk: 0 };
  lastClass: WorkClass | null = null;
  /** Items. */
  inFlight = 0;
  /** When it was given something after it had nothing, or when it last gave an outcome. */
  #pacedAtMs = 0;
  /** Effort that it had outcomes of since the last batch ended. */
  #doneEffort = 0;
  /** When that was, where it was under load then; null: it was not. */
  #loadedAtMs: number | null = null;

  constructor(
    capacity: PipelineCapacity,
    of: { readonly host: Host; readonly model: ModelState; readonly nowMs: number },
  ) {
    this.capacity = capacity;
    this.host = of.host;
    this.model = of.model;
    this.sinceMs = of.nowMs;
    this.usedAtMs = of.nowMs;
  }

  /** Nothing of its model may be sent there as usual. */
  get isClosed(): boolean {
    return this.leaving || this.host.load !== null || this.host.reservedFor !== null;
  }

  get items(): readonly ItemEntry[] {
    return this.batches.flatMap(itemsOf);
  }

  /** Units × rows that it has to do before, or beside, what comes of this rank: nothing of those that give way to it. */
  effortBeside(rank: Rank): number {
    const { small, large, bulk } = this.#effort;
    if (rank === "small") return small;
    return rank === "large" ? small + large : small + large + bulk;
  }

  hold(
    batch: Batch,
    held: {
      readonly items: readonly ItemEntry[];
      readonly expectedMs: number;
      readonly nowMs: number;
    },
  ): void {
    const entry: HeldBatch = {
      batchId: batch.batchId,
      class: batch.class,
      recallable: batch.class === "bulk" && batch.reason !== "aged" && !batch.exclusive,
      expectedMs: held.expectedMs,
      firstAtMs: this.batches.length === 0 ? held.nowMs : null,
      recalled: false,
      sent: held.items,
      items: held.items.length,
    };
    if (this.inFlight === 0) {
      this.#pacedAtMs = held.nowMs;
      if (this.#loadedAtMs !== held.nowMs) this.#loadedAtMs = null;
    }
    this.batches.push(entry);
    this.lastClass = batch.class;
    this.usedAtMs = held.nowMs;
    this.uses += 1;
    const here: Whereabouts = { kind: "held", pipeline: this, batch: entry };
    for (const item of held.items) {
      const { rank, class: workClass } = item.request;
      this.host.inFlight[workClass] += 1;
      this.rows[rank] += item.rows;
      this.#effort[rank] += effortOf(item);
      item.whereabouts = here;
    }
    this.inFlight += held.items.length;
  }

  /** It gave the item's outcome: what that took tells how fast it is. */
  settled(item: ItemEntry, nowMs: number): void {
    this.model.pace.learn(item.rows, Math.max(0, nowMs - this.#pacedAtMs));
    this.#pacedAtMs = nowMs;
    this.#doneEffort += effortOf(item);
  }

  /** It no longer has an item of this batch. */
  release(item: ItemEntry, batch: HeldBatch, nowMs: number): void {
    this.inFlight -= 1;
    const { rank, class: workClass } = item.request;
    this.rows[rank] -= item.rows;
    this.#effort[rank] -= effortOf(item);
    this.host.inFlight[workClass] -= 1;
    this.usedAtMs = nowMs;
    batch.items -= 1;
    if (batch.items > 0) return;
    if (this.batches[0] === batch) this.batches.shift();
    else this.batches.splice(this.batches.indexOf(batch), 1);
    const first = this.batches[0];
    if (first !== undefined) first.firstAtMs ??= nowMs;
    this.#batchEnded(nowMs);
  }

  /** From the end of a batch to the end of another all that was done is counted once, however many rows a batch has. */
  #batchEnded(nowMs: number): void {
    const { host, model } = this;
    const isAlone = host.items === this.inFlight && !this.isClosed;
    const isLoaded = isAlone && model.isAskedOf(this);
    if (isLoaded && this.#loadedAtMs !== null)
      model.throughput.learn(this.#doneEffort, nowMs - this.#loadedAtMs);
    this.#doneEffort = 0;
    this.#loadedAtMs = isLoaded ? nowMs : null;
  }

  /** Expected time until the first batch is through; 0 where it has none. What else the process does is the host's. */
  firstBusyMs(nowMs: number): number {
    const first = this.batches[0];
    if (first === undefined) return 0;
    return Math.max(0, (first.firstAtMs ?? nowMs) + first.expectedMs - nowMs);
  }

  /** Whether it was configured for this class; who serves in the end, see `ModelState.serves`. */
  isMeantFor(workClass: WorkClass): boolean {
    return this.host.isMeantFor(workClass);
  }
}
