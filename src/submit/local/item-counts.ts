/** How items fared since the start; whoever observes hears of each as it happens. */
import type { ErrorCode, WorkClass } from "millrace-client/wire";
import type { Batch } from "../../scheduler/types.js";

/** For status and metrics. Called from inside submit: it must be quick and must not throw. */
export interface SubmitObserver {
  dispatched(pipelineId: string, model: string, batch: Batch): void;
  /** An item was handed over for the first time, this long after it was queued. */
  waited(workClass: WorkClass, ms: number): void;
  retried(): void;
  /** Null: it has its result. */
  ended(workClass: WorkClass, code: ErrorCode | null, items: number): void;
}

export type ItemTotals = Record<"accepted" | "done" | "failed" | "cancelled" | "retried", number>;

export class ItemCounts {
  readonly totals: ItemTotals = { accepted: 0, done: 0, failed: 0, cancelled: 0, retried: 0 };
  readonly #observer: SubmitObserver | undefined;

  constructor(observer: SubmitObserver | undefined) {
    this.#observer = observer;
  }

  accepted(items: number): void {
    this.totals.accepted += items;
  }

  dispatched(pipelineId: string, model: string, batch: Batch): void {
    this.#observer?.dispatched(pipelineId, model, batch);
  }

  sent(workClass: WorkClass, waitedMs: number): void {
    this.#observer?.waited(workClass, waitedMs);
  }

  retried(): void {
    this.totals.retried += 1;
    this.#observer?.retried();
  }

  ended(workClass: WorkClass, code: ErrorCode | null, items: number): void {
    const how = code === null ? "done" : code === "cancelled" ? "cancelled" : "failed";
    this.totals[how] += items;
    this.#observer?.ended(workClass, code, items);
  }
}
