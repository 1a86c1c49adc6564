/**
 * What is said between the pool and one ready child, and what it means for the ledger. One dialogue for each life
 * of a process.
 *
 * A cancel is followed by a recall of the same items. The child takes frames in order and answers each recall, so
 * the `recalled` that comes back also confirms the cancel: after it, the child holds nothing of these items and no late
 * result can come. Until then a late result is expected and dropped.
 */
import assert from "node:assert/strict";
import type { TooLarge } from "../frames/encode.js";
import {
  type ChildFrame,
  type FrameBatch,
  type FrameOutcome,
  type ParentFrame,
  stagesMax,
} from "../frames/messages.js";
import { ProtocolError } from "../frames/protocol-error.js";
import type { Clock } from "../work/clock.js";
import type { PoolEvent } from "./events.js";
import type { Ledger, LedgerEntry } from "./ledger.js";
import { type LoadFrame, Residents } from "./residents.js";

export interface DialogueOptions {
  readonly pipelineId: string;
  readonly ledger: Ledger;
  readonly clock: Clock;
  readonly send: (frame: ParentFrame) => void;
  readonly emit: (event: PoolEvent) => void;
  /** Outcomes are counted here. */
  readonly tally: Tally;
}

export interface Tally {
  done: number;
  failed: number;
}

/** Announcements and reports that a child may send in a second: fifty times what one that does steps of 1 ms sends. */
const newsPerSecondMax = 50_000;

export class Dialogue {
  readonly #options: DialogueOptions;
  /** Recalls without an answer, oldest first, each with the cancelled items that its answer confirms. */
  readonly #asked: { readonly recalled: ReadonlySet<number>; readonly cancelled: number[] }[] = [];
  readonly residents: Residents = new Residents();
  readonly #stages = new Map<string, Set<string>>();
  #news = 0;
  #newsSinceMs: number;

  constructor(options: DialogueOptions) {
    this.#options = options;
    this.#newsSinceMs = options.clock.now();
  }

  give(batch: FrameBatch): void {
    const { ledger, pipelineId, clock, send } = this.#options;
    const { batchId, model } = batch;
    const itemIds = batch.items.map(({ itemId }) => itemId);
    this.residents.use(model, clock.now());
    ledger.write(pipelineId, { batchId, model, itemIds });
    send({ type: "batch", batchId, model, class: batch.class, items: batch.items });
  }

  load(request: Omit<Extract<ParentFrame, { readonly type: "load" }>, "type">): void {
    this.residents.ask(request.model);
    this.#options.send({ type: "load", ...request });
  }

  /** The pipeline holds no items of it. */
  unload(model: string): void {
    const { pipelineId, ledger, send } = this.#options;
    const held = ledger.inFlightOf(pipelineId, model);
    assert(held === 0, `scheduler: ${model} is unloaded with ${held} items`);
    this.residents.leave(model);
    this.#stages.delete(model);
    send({ type: "unload", model });
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
  hear(frame: Exclude<ChildFrame, { readonly type: "profiled" | "profile-failed" }>): void {
    switch (frame.type) {
      case "items":
        for (const outcome of frame.outcomes) this.#onOutcome(outcome);
        return;
      case "recalled":
        this.#onRecalled(frame.itemIds);
        return;
      case "run":
        this.#onRun(frame);
        return;
      case "report":
        this.#onReport(frame);
        return;
      case "loading":
      case "loaded":
      case "load-failed":
      case "unloaded":
        this.residents.hear(frame, this.#options.clock.now());
        this.#tell(frame);
        return;
      case "hello":
        throw new ProtocolError("said hello when it was ready already");
    }
  }

  #tell(frame: LoadFrame): void {
    const { pipelineId, emit } = this.#options;
    const { type, model } = frame;
    if (type === "loaded") emit({ type, pipelineId, model, bytes: frame.modelBytes, ms: frame.ms });
    else if (type === "load-failed") {
      const isBroken = frame.code === "model_folder_invalid";
      emit({ type, pipelineId, model, reason: `${frame.code}: ${frame.message}`, isBroken });
    } else if (type === "unloaded") emit({ type, pipelineId, model });
  }

  #onReport({ model, stages }: Extract<ChildFrame, { readonly type: "report" }>): void {
    this.#countNews();
    // What is said of a model that was told to go is on its way still, and of no use.
    if (!this.residents.has(model)) return;
    const known = this.#stages.get(model) ?? new Set();
    this.#stages.set(model, known);
    for (const { stage } of stages) known.add(stage);
    if (known.size > stagesMax) throw new ProtocolError("has too many stages");
    const { pipelineId, emit } = this.#options;
    emit({ type: "measured", pipelineId, model, stages });
  }

  /** The item was in a batch and fits into no frame: it ends here, and the child never hears of it. */
  onTooLarge({ itemId, message }: TooLarge): void {
    if (this.#options.ledger.find(this.#options.pipelineId, itemId) === undefined) return;
    this.#onOutcome({ itemId, ok: false, code: "item_failed", message: `the item ${message}` });
  }

  #onRun(frame: Extract<ChildFrame, { readonly type: "run" }>): void {
    const { pipelineId, ledger, emit } = this.#options;
    this.#countNews();
    if (frame.begunItemIds.length > ledger.inFlight(pipelineId)) {
      throw new ProtocolError("announced more items than it has");
    }
    for (const itemId of frame.begunItemIds) {
      const entry = ledger.find(pipelineId, itemId);
      if (entry !== undefined) entry.begun = true;
    }
    const { model, stage, rows, width, predictedMs } = frame;
    emit({ type: "run", pipelineId, model, stage, rows, width, predictedMs });
  }

  /** Outcomes are bounded by what was sent; news are not, and each takes the server's time. */
  #countNews(): void {
    const nowMs = this.#options.clock.now();
    if (nowMs - this.#newsSinceMs > 1_000) {
      this.#newsSinceMs = nowMs;
      this.#news = 0;
    }
    this.#news += 1;
    if (this.#news > newsPerSecondMax) throw new ProtocolError("talks without end");
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
    const { ledger, pipelineId, emit, tally } = this.#options;
    const { itemId } = outcome;
    const entry = ledger.take(pipelineId, itemId);
    if (entry === undefined) {
      throw new ProtocolError(`sent a result for item ${itemId}, which it does not have`);
    }
    if (entry.cancelled) {
      emit({ type: "dropped", pipelineId, itemIds: [itemId] });
      return;
    }
    if (outcome.ok) tally.done += 1;
    else tally.failed += 1;
    const { attempt } = entry;
    emit({ type: "outcome", pipelineId, itemId, outcome, attempt });
  }

  #onRecalled(itemIds: readonly number[]): void {
    const { ledger, pipelineId, emit } = this.#options;
    const asked = this.#asked.shift();
    if (asked === undefined) throw new ProtocolError("sent items back that nobody recalled");
    if (itemIds.length > asked.recalled.size) {
      throw new ProtocolError("sent more items back than were recalled");
    }
    // Before anything leaves the ledger: what a liar holds is settled with its end, all of it.
    const wrong = itemIds.find((itemId) => !asked.recalled.has(itemId));
    if (wrong !== undefined) {
      throw new ProtocolError(`sent item ${wrong} back, which was not recalled`);
    }
    const innocent: number[] = [];
    const dropped = asked.cancelled.filter((itemId) => ledger.take(pipelineId, itemId));
    for (const itemId of itemIds) {
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
