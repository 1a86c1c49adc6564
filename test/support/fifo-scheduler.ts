/**
 * The least scheduler that keeps the contract: first come first served, one batch in each pipeline, and one model for each
 * pipeline, the first that was announced; a load that fails is tried again when the next thing happens.
 */

import type { Batch, Decision, ModelSpec, SchedulerEvent } from "#src/scheduler/types.js";
import type { SchedulerPort } from "#src/submit/local/dispatcher.js";

interface Waiting {
  readonly requestId: number;
  readonly model: string;
  readonly deadlineAtMs: number | null;
  readonly itemIds: number[];
  readonly exclusive: boolean;
}

export class FifoScheduler implements SchedulerPort {
  readonly #batchItemsMax: number;
  readonly #pipelines = new Map<
    string,
    { state: "empty" | "loading" | "loaded"; held: Set<number> }
  >();
  #model: ModelSpec | null = null;
  readonly #requests = new Map<number, { model: string; deadlineAtMs: number | null }>();
  readonly #requestOf = new Map<number, number>();
  #queue: Waiting[] = [];
  #batches = 0;

  constructor(batchItemsMax = 4) {
    this.#batchItemsMax = batchItemsMax;
  }

  get queued(): number {
    return this.#queue.reduce((sum, { itemIds }) => sum + itemIds.length, 0);
  }

  step(event: SchedulerEvent, nowMs: number): readonly Decision[] {
    return [...this.#take(event), ...this.#expire(nowMs), ...this.#fill()];
  }

  leastWaitMs(): number {
    return 0;
  }

  #take(event: SchedulerEvent): Decision[] {
    switch (event.type) {
      case "request": {
        const { requestId, model, deadlineAtMs, items } = event.request;
        this.#requests.set(requestId, { model, deadlineAtMs });
        const itemIds = items.map(({ itemId }) => itemId);
        for (const itemId of itemIds) this.#requestOf.set(itemId, requestId);
        this.#enqueue(itemIds, false);
        return [];
      }
      case "cancel":
        return this.#cancel(
          [...this.#requestOf.keys()].filter((id) => this.#requestOf.get(id) === event.requestId),
        );
      case "model":
        this.#model ??= event.model;
        return [];
      case "pipeline-up":
        this.#pipelines.set(event.pipeline.pipelineId, { state: "empty", held: new Set() });
        return [];
      case "loaded":
      case "load-failed": {
        const pipeline = this.#pipelines.get(event.pipelineId);
        if (pipeline) pipeline.state = event.type === "loaded" ? "loaded" : "empty";
        return [];
      }
      case "pipeline-down":
        this.#pipelines.delete(event.pipelineId);
        return [];
      case "settled":
        this.#pipelines.get(event.pipelineId)?.held.delete(event.itemId);
        this.#requestOf.delete(event.itemId);
        return [];
      case "returned":
        for (const group of event.groups) this.#enqueue(group, true);
        this.#enqueue(event.innocent, false);
        return [];
      case "measured":
      case "model-gone":
      case "tick":
        return [];
    }
  }

  #enqueue(itemIds: readonly number[], exclusive: boolean): void {
    const byRequest = new Map<number, number[]>();
    for (const itemId of itemIds) {
      const requestId = this.#requestOf.get(itemId);
      if (requestId === undefined) continue;
      byRequest.set(requestId, [...(byRequest.get(requestId) ?? []), itemId]);
    }
    for (const [requestId, ids] of byRequest) {
      const request = this.#requests.get(requestId);
      if (request !== undefined)
        this.#queue.push({ requestId, ...request, itemIds: ids, exclusive });
    }
  }

  #cancel(itemIds: readonly number[]): Decision[] {
    const gone = new Set(itemIds);
    for (const entry of this.#queue) {
      const kept = entry.itemIds.filter((id) => !gone.has(id));
      entry.itemIds.splice(0, entry.itemIds.length, ...kept);
    }
    return [...this.#pipelines].flatMap(([pipelineId, { held }]): Decision[] => {
      const ids = itemIds.filter((id) => held.has(id));
      return ids.length > 0 ? [{ type: "cancel", pipelineId, itemIds: ids }] : [];
    });
  }

  #expire(nowMs: number): Decision[] {
    const decisions: Decision[] = [];
    let nextAtMs = Infinity;
    for (const [requestId, { deadlineAtMs }] of this.#requests) {
      if (deadlineAtMs === null) continue;
      const itemIds = [...this.#requestOf].flatMap(([id, of]) => (of === requestId ? [id] : []));
      if (itemIds.length === 0) continue;
      if (nowMs < deadlineAtMs) nextAtMs = Math.min(nextAtMs, deadlineAtMs);
      else {
        decisions.push({ type: "expire", requestId, itemIds }, ...this.#cancel(itemIds));
        this.#requests.delete(requestId);
      }
    }
    if (nextAtMs < Infinity) decisions.push({ type: "wake", atMs: nextAtMs });
    return decisions;
  }

  #fill(): Decision[] {
    this.#queue = this.#queue.filter(({ itemIds }) => itemIds.length > 0);
    const decisions: Decision[] = [];
    const { model, rowsMax } = this.#model ?? { model: "", rowsMax: 0 };
    for (const [pipelineId, pipeline] of this.#pipelines) {
      const { state, held } = pipeline;
      if (state === "empty" && this.#model !== null) {
        pipeline.state = "loading";
        decisions.push({ type: "load", pipelineId, model, rowsMax });
      }
      if (state !== "loaded" || held.size > 0) continue;
      const entry = this.#queue.find((each) => each.model === model && each.itemIds.length > 0);
      if (entry === undefined) continue;
      const { requestId, exclusive } = entry;
      const itemIds = entry.itemIds.splice(0, exclusive ? Infinity : this.#batchItemsMax);
      for (const id of itemIds) held.add(id);
      this.#batches += 1;
      const batch: Batch = {
        batchId: this.#batches,
        model,
        class: "bulk",
        givesWay: false,
        reason: exclusive ? "exclusive" : "pipeline-free",
        exclusive,
        segments: [{ requestId, itemIds }],
        rows: itemIds.length,
        units: 0,
        paddedUnits: 0,
        waitedMs: 0,
      };
      decisions.push({ type: "dispatch", pipelineId, batch });
    }
    return decisions;
  }
}
