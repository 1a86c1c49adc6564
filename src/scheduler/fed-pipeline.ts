import type { WorkClass } from "millrace-client/wire";
import type { ItemEntry } from "./request-book.js";
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
  readonly items: Set<ItemEntry>;
}

/** What a policy sees of a pipeline. */
export interface PipelineView {
  readonly capacity: PipelineCapacity;
  /** In the order in which they were sent; for one-shot models the first runs and the second waits. */
  readonly batches: readonly HeldBatch[];
  readonly rows: Readonly<Record<WorkClass, number>>;
  readonly lastClass: WorkClass | null;
}

/**
 * One pipeline, as the scheduler believes it to be.
 *
 * ```
 *   one-shot:    batches = [ runs │ waits (recallable) ]
 *   continuous:  batches = [ … every batch with an unsettled item … ]      at most one for each row
 *                rows    │◄──── rowsMax ────►│◄ prefetch ►│        bulk and realtime together
 *                        │◄──── rowsMax ────►│                     realtime's own, whatever bulk holds
 * ```
 */
export class FedPipeline implements PipelineView {
  readonly capacity: PipelineCapacity;
  readonly batches: HeldBatch[] = [];
  readonly rows: Record<WorkClass, number> = { realtime: 0, bulk: 0 };
  lastClass: WorkClass | null = null;
  readonly #batchOf = new Map<ItemEntry, HeldBatch>();

  constructor(capacity: PipelineCapacity) {
    this.capacity = capacity;
  }

  get items(): readonly ItemEntry[] {
    return [...this.#batchOf.keys()];
  }

  get inFlight(): number {
    return this.#batchOf.size;
  }

  get load(): number {
    return this.rows.realtime + this.rows.bulk;
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
      items: new Set(held.items),
    };
    this.batches.push(entry);
    this.lastClass = batch.class;
    for (const item of held.items) {
      this.rows[item.request.class] += item.rows;
      this.#batchOf.set(item, entry);
    }
  }

  release(item: ItemEntry, nowMs: number): void {
    const batch = this.#batchOf.get(item);
    if (batch === undefined) return;
    this.#batchOf.delete(item);
    this.rows[item.request.class] -= item.rows;
    batch.items.delete(item);
    if (batch.items.size > 0) return;
    this.batches.splice(this.batches.indexOf(batch), 1);
    const first = this.batches[0];
    if (first !== undefined) first.firstAtMs ??= nowMs;
  }

  /** Expected time until the first batch is through; 0 for an idle pipeline. */
  busyMs(nowMs: number): number {
    const first = this.batches[0];
    if (first === undefined) return 0;
    return Math.max(0, (first.firstAtMs ?? nowMs) + first.expectedMs - nowMs);
  }

  /** Whether it was configured for this class; who serves in the end, see `ModelState.serves`. */
  isMeantFor(workClass: WorkClass): boolean {
    const { kind } = this.capacity;
    return kind === "shared" || kind === workClass;
  }
}
