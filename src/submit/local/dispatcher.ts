/**
 * The owner of the scheduler and of the pool: tells the one what the other did, and the other what the one decided.
 *
 *   queue, drop, host ──┐                       ┌──► pool.load, unload, dispatch, cancel, recall
 *   pool events ────────┼─► scheduler.step ─► decisions
 *   timer (wake) ───────┘                       └──► expire, abandon: the request's items fail
 *
 * Every event goes through `#step`, one at a time and in order of arrival, also those that arise while a decision is
 * carried out. What throws there is a broken promise between these three, after which nobody knows who has what: no
 * further event is let in, and whoever owns this is told, once.
 */
import assert from "node:assert/strict";
import { type ErrorCode, MillraceError } from "millrace-client/wire";
import type { FrameBatch, FrameItem, FrameOutcome } from "../../frames/messages.js";
import type { Newcomer } from "../../scheduler/least-wait.js";
import { engineClassOf } from "../../scheduler/rank.js";
import type { Batch, Decision, SchedulerEvent } from "../../scheduler/types.js";
import type { Clock } from "../../work/clock.js";
import type { TraceSpan } from "../../work/trace-span.js";
import type { PoolEvent } from "../../worker/events.js";
import type { LoadRequest } from "../../worker/pipeline.js";
import { BatchSpans } from "./batch-spans.js";
import { type HostedModel, HostedModels, notServed } from "./hosted-models.js";
import type { ItemCounts } from "./item-counts.js";
import { OpenItems, type PlacedPieces, placedPieces } from "./open-items.js";
import type { OpenRequest } from "./open-request.js";
import { Slices } from "./slices.js";
import { deadlineExceeded } from "./until.js";

export interface SchedulerPort {
  step(event: SchedulerEvent, nowMs: number): readonly Decision[];
  leastWaitMs(newcomer: Newcomer, nowMs: number): number;
}

/** What is needed of the pool. */
export interface PoolPort {
  start(): void;
  load(pipelineId: string, request: LoadRequest): void;
  unload(pipelineId: string, model: string): void;
  dispatch(pipelineId: string, batch: FrameBatch): void;
  cancel(pipelineId: string, itemIds: readonly number[]): void;
  recall(pipelineId: string, itemIds: readonly number[]): void;
  forget(itemIds: readonly number[]): void;
  stop(options: { readonly drainMs: number }): Promise<void>;
}

export interface DispatcherOptions {
  readonly scheduler: SchedulerPort;
  readonly makePool: (onEvent: (event: PoolEvent) => void) => PoolPort;
  readonly clock: Clock;
  readonly counts: ItemCounts;
  /** Items that are queued in one turn of the event loop. */
  readonly sliceItemsMax: number;
  readonly onBroken: (error: unknown) => void;
}

export class Dispatcher {
  readonly #options: DispatcherOptions;
  readonly #pool: PoolPort;
  readonly #items: OpenItems;
  readonly #hosted: HostedModels;
  readonly #events: SchedulerEvent[] = [];
  #stepping = false;
  #broken = false;
  #stopWake: () => void = () => {};
  readonly #slices: Slices;
  readonly #batchSpans: BatchSpans;

  constructor(options: DispatcherOptions) {
    this.#options = options;
    this.#slices = new Slices(options.clock);
    this.#batchSpans = new BatchSpans(options.clock);
    this.#hosted = new HostedModels(options.clock);
    this.#items = new OpenItems(this.#hosted, options.counts);
    this.#pool = options.makePool((event) => this.#guard(() => this.#onPool(event)));
  }

  start(): void {
    this.#pool.start();
  }

  /** From now on pipelines may be told to load it. */
  host(model: HostedModel): void {
    this.#step({ type: "model", model: this.#hosted.add(model) });
  }

  /** Nobody is let in for it any more; it finishes what there is for it, and goes. */
  retire(key: string): void {
    this.#hosted.retire(key);
    if (!this.#hosted.isExpected(key)) this.#leave(key);
  }

  /**
   * A request was let in, and its items will be queued: until then its model does not leave, and would else fail it for being
   * prepared for too long. What is returned ends that; a second call does nothing.
   */
  expect(key: string): () => void {
    this.#hosted.expect(key);
    let isExpected = true;
    return () => {
      if (!isExpected) return;
      isExpected = false;
      this.#hosted.arrived(key);
      if (this.#hosted.isRetired(key) && !this.#hosted.isExpected(key)) this.#leave(key);
    };
  }

  #leave(key: string): void {
    this.#step({ type: "model-gone", model: key });
    this.#hosted.forgetIfOver(key);
  }

  nameOf(key: string): string {
    return this.#hosted.nameOf(key);
  }

  /** Why nobody can be served with the model now; null: somebody can, if need be after it was loaded. */
  refusalOf(key: string): MillraceError | null {
    return this.#hosted.refusalOf(key);
  }

  leastWaitMs(newcomer: Newcomer): number {
    return this.#options.scheduler.leastWaitMs(newcomer, this.#options.clock.now());
  }

  /**
   * Makes items of the request's pieces, and tells the scheduler: of so many at once, and of the rest in the turns that
   * follow. A page of a hundred thousand sentences would else hold the event loop for half a second. `onQueued` is called behind
   * the last of them, unless the request ends before.
   */
  queue(request: OpenRequest, onQueued: () => void): void {
    const pieces = placedPieces(request);
    if (this.#queueSlice(request, pieces)) {
      onQueued();
      return;
    }
    // What the scheduler has not heard of, it cannot expire.
    const stopWatch = this.#watchDeadline(request);
    const slice = (): void => {
      if (!request.ended && !this.#queueSlice(request, pieces)) {
        this.#slices.add(slice);
        return;
      }
      stopWatch();
      onQueued();
    };
    this.#slices.add(slice);
  }

  #watchDeadline(request: OpenRequest): () => void {
    const { clock } = this.#options;
    const { deadlineAtMs } = request.options;
    if (deadlineAtMs === null) return () => {};
    const expire = (): void => request.failAll(deadlineExceeded().toWire());
    return clock.after(Math.max(0, deadlineAtMs - clock.now()), expire);
  }

  /** Whether that were the last of the pieces. */
  #queueSlice(request: OpenRequest, pieces: PlacedPieces): boolean {
    const { key: model, class: workClass, tenant, deadlineAtMs } = request.options;
    const { sliceItemsMax } = this.#options;
    const { sliceId: requestId, items } = this.#items.open(request, pieces, sliceItemsMax);
    if (items.length === 0) return true;
    const spec = { requestId, model, class: workClass, tenant, deadlineAtMs, items };
    this.#step({ type: "request", request: spec });
    return items.length < sliceItemsMax;
  }

  /** What is left of an ended request: all of it after an abort, pieces of failed inputs else. */
  drop(request: OpenRequest): void {
    for (const { sliceId, openItemIds } of request.slices) {
      const itemIds = [...openItemIds];
      this.#items.closeAll(itemIds, "cancelled");
      this.#step({ type: "cancel", requestId: sliceId });
      this.#pool.forget(itemIds);
    }
  }

  async stop(): Promise<void> {
    this.#slices.flush();
    await this.#pool.stop({ drainMs: 0 });
    this.#stopWake();
    this.#batchSpans.close();
  }

  #onPool(event: PoolEvent): void {
    const { pipelineId } = event;
    switch (event.type) {
      case "up": {
        const { type: _, ...pipeline } = event;
        this.#hosted.pipelineUp(pipelineId);
        this.#step({ type: "pipeline-up", pipeline });
        return;
      }
      case "down": {
        const { loading, reason } = event;
        const lost = loading === null ? null : { ...loading, reason };
        this.#hosted.pipelineDown(pipelineId);
        this.#batchSpans.gone(pipelineId);
        this.#step({ type: "pipeline-down", pipelineId, loading: lost });
        this.#hosted.pipelineGone(pipelineId);
        return;
      }
      case "loaded":
        this.#hosted.loaded(pipelineId, event.model);
        this.#step(event);
        return;
      case "load-failed":
        this.#step(event);
        this.#hosted.rid(pipelineId, event.model);
        return;
      case "outcome":
        this.#onOutcome(pipelineId, event.outcome);
        return;
      case "dropped":
        for (const itemId of event.itemIds) {
          this.#batchSpans.settled(itemId);
          this.#step({ type: "settled", pipelineId, itemId });
        }
        return;
      case "returned":
        this.#onReturned(event);
        return;
      case "measured":
        this.#batchSpans.measured(pipelineId, event.model, event.stages);
        for (const { stage, runs, paddedUnits, ms } of event.stages) {
          this.#step({ type: "measured", model: event.model, stage, runs, paddedUnits, ms });
        }
        return;
      case "unloaded":
        this.#batchSpans.gone(pipelineId, event.model);
        this.#hosted.rid(pipelineId, event.model);
        return;
      case "run":
      case "start-failed":
        return;
    }
  }

  /** A bad answer fails its item, and nothing else: the worker that gave it kept to the protocol. */
  #onOutcome(pipelineId: string, outcome: FrameOutcome): void {
    const { itemId } = outcome;
    const item = this.#items.find(itemId);
    this.#batchSpans.settled(itemId);
    const wrong = outcome.ok ? (item?.request.check(outcome.value) ?? null) : outcome.message;
    const code = outcome.ok ? (wrong === null ? null : "item_failed") : outcome.code;
    this.#items.close(itemId, code);
    this.#step({ type: "settled", pipelineId, itemId });
    if (item === undefined) return;
    if (outcome.ok && code === null) item.request.finish(item.place, outcome.value, pipelineId);
    else item.request.fail(item.place, wireError(code ?? "internal", wrong ?? ""));
  }

  #onReturned(event: Extract<PoolEvent, { readonly type: "returned" }>): void {
    const { pipelineId, innocent, groups, failed } = event;
    for (const itemId of [...innocent, ...groups.flat()]) this.#batchSpans.settled(itemId);
    for (const { itemId, error } of failed) {
      this.#batchSpans.settled(itemId);
      const item = this.#items.close(itemId, error.code);
      this.#step({ type: "settled", pipelineId, itemId });
      item?.request.fail(item.place, error);
    }
    this.#step({
      type: "returned",
      pipelineId,
      innocent: this.#stillWanted(pipelineId, innocent),
      groups: groups
        .map((group) => this.#stillWanted(pipelineId, group))
        .filter((group) => group.length > 0),
    });
  }

  /** Items may have ended while the pipeline held them; these are settled, and tried no more. */
  #stillWanted(pipelineId: string, itemIds: readonly number[]): number[] {
    const over = itemIds.filter((itemId) => this.#items.find(itemId) === undefined);
    this.#pool.forget(over);
    for (const itemId of over) this.#step({ type: "settled", pipelineId, itemId });
    return itemIds.filter((itemId) => this.#items.find(itemId) !== undefined);
  }

  #step(event: SchedulerEvent): void {
    this.#events.push(event);
    if (this.#stepping) return;
    this.#stepping = true;
    this.#guard(() => {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
        const nowMs = this.#options.clock.now();
        for (const decision of this.#options.scheduler.step(next, nowMs)) this.#carryOut(decision);
      }
    });
    this.#stepping = false;
  }

  #guard(action: () => void): void {
    if (this.#broken) {
      this.#events.length = 0;
      return;
    }
    try {
      action();
    } catch (error) {
      this.#broken = true;
      this.#events.length = 0;
      this.#stopWake();
      this.#options.onBroken(error);
    }
  }

  #carryOut(decision: Decision): void {
    switch (decision.type) {
      case "dispatch":
        this.#dispatch(decision.pipelineId, decision.batch);
        return;
      case "load":
        this.#load(decision);
        return;
      case "unload":
        this.#hosted.unloading(decision.pipelineId, decision.model);
        this.#pool.unload(decision.pipelineId, decision.model);
        return;
      case "hold":
        this.#hosted.hold(decision.model, decision);
        return;
      case "abandon":
        this.#abandon(decision);
        return;
      case "expire":
        this.#expire(decision.itemIds);
        return;
      case "cancel":
        this.#pool.cancel(decision.pipelineId, decision.itemIds);
        return;
      case "recall":
        this.#pool.recall(decision.pipelineId, decision.itemIds);
        return;
      case "wake":
        this.#wakeAt(decision.atMs);
        return;
    }
  }

  #load({ pipelineId, model, rowsMax }: Extract<Decision, { readonly type: "load" }>): void {
    const hosted = this.#hosted.find(model);
    assert(hosted !== undefined, `scheduler: ${model} is to be loaded, and was never announced`);
    const { modelDir, version } = hosted;
    this.#hosted.loading(pipelineId, model);
    const its = version === undefined ? {} : { version };
    this.#pool.load(pipelineId, { model, modelDir, rowsMax, ...its });
  }

  /** The whole request fails: where its model is not to be had, none of its inputs can be served. */
  #abandon(decision: Extract<Decision, { readonly type: "abandon" }>): void {
    const { itemIds } = decision;
    this.#pool.forget(itemIds);
    const [key] = itemIds.flatMap((itemId) => this.#items.find(itemId)?.request.options.key ?? []);
    if (key === undefined) return;
    const isRetired = this.#hosted.isRetired(key);
    const hopeless = isRetired
      ? notServed(this.#hosted.nameOf(key))
      : this.#hosted.refusal(key, decision);
    // Where it may go well later, the door knows when.
    const error = hopeless.retryable && !isRetired ? (this.refusalOf(key) ?? hopeless) : hopeless;
    this.#items.closeAll(itemIds, error.code)?.abandon(error);
  }

  /** The request is told at once, and once: what its other slices hold is dropped when it ends. */
  #expire(itemIds: readonly number[]): void {
    this.#pool.forget(itemIds);
    const error = deadlineExceeded().toWire();
    this.#items.closeAll(itemIds, error.code)?.failAll(error);
  }

  /** Timers may fire a little before their time on this clock, and a scheduler woken too early would not ask again. */
  #wakeAt(atMs: number): void {
    const { clock } = this.#options;
    this.#stopWake();
    const onTime = (): void =>
      clock.now() < atMs ? this.#wakeAt(atMs) : this.#step({ type: "tick" });
    this.#stopWake = clock.after(Math.max(0, Math.ceil(atMs - clock.now())), onTime);
  }

  #dispatch(pipelineId: string, batch: Batch): void {
    const { clock, counts } = this.#options;
    const nowMs = clock.now();
    const items: FrameItem[] = [];
    let traced: Set<TraceSpan> | null = null;
    for (const itemId of batch.segments.flatMap(({ itemIds }) => itemIds)) {
      const item = this.#items.find(itemId);
      assert(item !== undefined, `scheduler: item ${itemId} was dispatched after its end`);
      const { class: workClass, queuedAtMs } = item.request.options;
      if (item.sent) counts.retried();
      else counts.sent(workClass, nowMs - queuedAtMs);
      const span = item.request.sent(nowMs, !item.sent);
      if (span !== null) (traced ??= new Set()).add(span);
      item.sent = true;
      items.push({ itemId, payload: item.source.payload });
    }
    const { batchId, model } = batch;
    const modelName = this.#hosted.nameOf(model);
    counts.dispatched(pipelineId, modelName, batch);
    if (traced !== null)
      this.#batchSpans.dispatched({ pipelineId, modelName, batch, requests: traced });
    this.#pool.dispatch(pipelineId, { batchId, model, class: engineClassOf(batch), items });
  }
}

function wireError(code: ErrorCode, message: string): ReturnType<MillraceError["toWire"]> {
  return new MillraceError(code, message).toWire();
}
