/**
 * What is said between the pool and one ready child, and what it means for the ledger. One dialogue for each life
 * of a process.
 *
 * A cancel is followed by a recall of the same items. The child takes frames in order and answers each recall, so
 * the `recalled` that comes back also confirms the cancel: after it, the child holds nothing of these items and no late
 * result can come. Until then a late result is expected and dropped.
 */
import type { ChildFrame, FrameItem, FrameOutcome, ParentFrame } from "../frames/messages.js";
import { ProtocolError } from "../frames/protocol-error.js";
import type { PoolEvent } from "./events.js";
import type { Ledger, LedgerEntry } from "./ledger.js";

export interface BatchFrame {
  readonly batchId: number;
  readonly class: "realtime" | "bulk";
  readonly items: readonly FrameItem[];
}

export interface DialogueOptions {
  readonly pipelineId: string;
  readonly model: string;
  readonly ledger: Ledger;
  readonly send: (frame: ParentFrame) => void;
  readonly emit: (event: PoolEvent) => void;
  readonly now: () => number;
}

export class Dialogue {
  readonly #options: DialogueOptions;
  /** Recalls without an answer, oldest first, each with the cancelled items that its answer confirms. */
  readonly #asked: { readonly recalled: ReadonlySet<number>; readonly cancelled: number[] }[] = [];

  constructor(options: DialogueOptions) {
    this.#options = options;
  }

  dispatch(batch: BatchFrame): void {
    const { ledger, pipelineId, now, send } = this.#options;
    const itemIds = batch.items.map(({ itemId }) => itemId);
    ledger.write(pipelineId, { batchId: batch.batchId, itemIds }, now());
    send({ type: "batch", batchId: batch.batchId, class: batch.class, items: batch.items });
  }

  cancel(itemIds: readonly number[]): void {
    const held = this.#held(itemIds);
    if (held.length === 0) return;
    for (const entry of held) entry.cancelled = true;
    const cancelled = held.map(({ itemId }) => itemId);
    this.#options.send({ type: "cancel", itemIds: cancelled });
    this.#ask(cancelled, cancelled);
  }

  recall(itemIds: readonly number[]): void {
    const held = this.#held(itemIds).map(({ itemId }) => itemId);
    if (held.length > 0) this.#ask(held, []);
  }

  /** Throws `ProtocolError` where the child says what it cannot know. */
  hear(frame: ChildFrame): void {
    const { pipelineId, model, ledger, emit } = this.#options;
    switch (frame.type) {
      case "items":
        for (const outcome of frame.outcomes) this.#onOutcome(outcome);
        return;
      case "recalled":
        this.#onRecalled(frame.itemIds);
        return;
      case "run": {
        for (const itemId of frame.begunItemIds) {
          const entry = ledger.find(pipelineId, itemId);
          if (entry !== undefined) entry.begun = true;
        }
        const { stage, rows, width, predictedMs } = frame;
        emit({ type: "run", pipelineId, stage, rows, width, predictedMs });
        return;
      }
      case "report":
        emit({ type: "measured", pipelineId, model, stages: frame.stages });
        return;
      case "hello":
      case "ready":
      case "load-failed":
        throw new ProtocolError(`said ${frame.type} when it was ready already`);
    }
  }

  #held(itemIds: readonly number[]): LedgerEntry[] {
    const { ledger, pipelineId } = this.#options;
    return itemIds
      .map((itemId) => ledger.find(pipelineId, itemId))
      .filter((entry) => entry !== undefined)
      .filter((entry) => !entry.cancelled);
  }

  #ask(itemIds: readonly number[], cancelled: number[]): void {
    this.#asked.push({ recalled: new Set(itemIds), cancelled });
    this.#options.send({ type: "recall", itemIds });
  }

  #onOutcome(outcome: FrameOutcome): void {
    const { ledger, pipelineId, emit, now } = this.#options;
    const { itemId } = outcome;
    const entry = ledger.take(pipelineId, itemId);
    if (entry === undefined) {
      throw new ProtocolError(`sent a result for item ${itemId}, which it does not have`);
    }
    if (entry.cancelled) {
      emit({ type: "dropped", pipelineId, itemIds: [itemId] });
      return;
    }
    const timings = { sentAtMs: entry.sentAtMs, settledAtMs: now(), attempt: entry.attempt };
    emit({ type: "outcome", pipelineId, itemId, outcome, timings });
  }

  #onRecalled(itemIds: readonly number[]): void {
    const { ledger, pipelineId, emit } = this.#options;
    const asked = this.#asked.shift();
    if (asked === undefined) throw new ProtocolError("sent items back that nobody recalled");
    const innocent: number[] = [];
    const dropped = asked.cancelled.filter((itemId) => ledger.take(pipelineId, itemId));
    for (const itemId of itemIds) {
      if (!asked.recalled.has(itemId)) {
        throw new ProtocolError(`sent item ${itemId} back, which was not recalled`);
      }
      const cancelled = ledger.find(pipelineId, itemId)?.cancelled ?? false;
      if (ledger.takeBack(pipelineId, itemId) === undefined) continue;
      (cancelled ? dropped : innocent).push(itemId);
    }
    if (dropped.length > 0) emit({ type: "dropped", pipelineId, itemIds: dropped });
    if (innocent.length > 0) {
      emit({ type: "returned", pipelineId, innocent, groups: [], failed: [] });
    }
  }
}
