/**
 * Who has what. An entry is written before its frame is sent and leaves exactly once: with an outcome, recalled,
 * dropped after a cancel, or returned because its pipeline ended. docs/inside/ledger.md tells the whole.
 *
 *   write ──► entry ──┬─ take ────────► the outcome came, or a cancelled item was dropped
 *                     ├─ takeBack ────► recalled: this attempt does not count
 *                     └─ end ─────────► the pipeline ended; settle.ts decides for each entry
 *
 * What an item went through outlives its entries (`#past`), until it has an outcome or its owner forgets it.
 */
import assert from "node:assert/strict";
import { type Cause, type Past, type SettleOptions, settle, type Verdict } from "./settle.js";

export interface LedgerEntry {
  readonly itemId: number;
  readonly pipelineId: string;
  readonly model: string;
  readonly batchId: number;
  /** This attempt's number, from 1. */
  readonly attempt: number;
  /** What ended pipelines under it before. */
  readonly aloneKills: number;
  readonly outsideEnds: number;
  /** The child announced a run that it is part of. */
  begun: boolean;
  /** Nobody waits for it; the child was told and has not confirmed yet. */
  cancelled: boolean;
}

export interface BatchEntries {
  readonly model: string;
  readonly batchId: number;
  readonly itemIds: readonly number[];
}

export class Ledger {
  readonly #entries = new Map<number, LedgerEntry>();
  readonly #byPipeline = new Map<string, Map<number, LedgerEntry>>();
  /** Entries by pipeline and model. */
  readonly #counts = new Map<string, Map<string, number>>();
  readonly #past = new Map<number, Past>();

  get size(): number {
    return this.#entries.size;
  }

  /** Items whose past is remembered between attempts; for tests of leaks. */
  get remembered(): number {
    return this.#past.size;
  }

  inFlight(pipelineId: string): number {
    return this.#byPipeline.get(pipelineId)?.size ?? 0;
  }

  /** Items of one model there. */
  inFlightOf(pipelineId: string, model: string): number {
    return this.#counts.get(pipelineId)?.get(model) ?? 0;
  }

  write(pipelineId: string, batch: BatchEntries): void {
    // All or none: what is refused leaves nothing behind.
    assert(
      new Set(batch.itemIds).size === batch.itemIds.length,
      "scheduler: an item twice in a batch",
    );
    for (const itemId of batch.itemIds) {
      assert(!this.#entries.has(itemId), `scheduler: item ${itemId} is in flight already`);
    }
    for (const itemId of batch.itemIds) {
      const past = this.#past.get(itemId);
      const entry: LedgerEntry = {
        itemId,
        pipelineId,
        model: batch.model,
        batchId: batch.batchId,
        attempt: (past?.attempts ?? 0) + 1,
        aloneKills: past?.aloneKills ?? 0,
        outsideEnds: past?.outsideEnds ?? 0,
        begun: false,
        cancelled: false,
      };
      this.#entries.set(itemId, entry);
      this.#of(pipelineId).set(itemId, entry);
    }
    this.#count(pipelineId, batch.model, batch.itemIds.length);
  }

  find(pipelineId: string, itemId: number): LedgerEntry | undefined {
    return this.#byPipeline.get(pipelineId)?.get(itemId);
  }

  take(pipelineId: string, itemId: number): LedgerEntry | undefined {
    const entry = this.#remove(pipelineId, itemId);
    if (entry !== undefined) this.#past.delete(itemId);
    return entry;
  }

  takeBack(pipelineId: string, itemId: number): LedgerEntry | undefined {
    return this.#remove(pipelineId, itemId);
  }

  /** The pipeline holds nothing any more; those that will be tried again are remembered with what they went through. */
  end(pipelineId: string, cause: Cause, options: SettleOptions): Verdict {
    const entries = [...this.#of(pipelineId).values()];
    this.#byPipeline.delete(pipelineId);
    this.#counts.delete(pipelineId);
    const verdict = settle(entries, cause, options);
    for (const { itemId } of entries) {
      this.#entries.delete(itemId);
      const past = verdict.pasts.get(itemId);
      if (past === undefined) this.#past.delete(itemId);
      else this.#past.set(itemId, past);
    }
    return verdict;
  }

  /** It ended while no pipeline held it. */
  forget(itemId: number): void {
    this.#past.delete(itemId);
  }

  #of(pipelineId: string): Map<number, LedgerEntry> {
    let entries = this.#byPipeline.get(pipelineId);
    if (entries === undefined) {
      entries = new Map();
      this.#byPipeline.set(pipelineId, entries);
    }
    return entries;
  }

  #remove(pipelineId: string, itemId: number): LedgerEntry | undefined {
    const entry = this.find(pipelineId, itemId);
    if (entry === undefined) return undefined;
    this.#entries.delete(itemId);
    this.#of(pipelineId).delete(itemId);
    this.#count(pipelineId, entry.model, -1);
    return entry;
  }

  #count(pipelineId: string, model: string, more: number): void {
    const counts = this.#counts.get(pipelineId) ?? new Map<string, number>();
    this.#counts.set(pipelineId, counts);
    const items = (counts.get(model) ?? 0) + more;
    if (items > 0) counts.set(model, items);
    else counts.delete(model);
  }
}
