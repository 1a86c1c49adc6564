import type { WorkClass } from "millrace-client/wire";
import { assertScheduler } from "./assert.js";
import { spansOf } from "./batch-draft.js";
import { ModelState } from "./model-state.js";
import { PipelineState, rowsRoom } from "./pipeline-state.js";
import type { BatchBounds, Choice, Policy, PolicyName, PolicyView } from "./policy.js";
import { FirstComePolicy } from "./policy-fcfs.js";
import { MillracePolicy } from "./policy-millrace.js";
import { SeedRouterPolicy } from "./policy-seed-router.js";
import { type ItemEntry, RequestBook, type RequestEntry } from "./request-book.js";
import { type SchedulerSnapshot, snapshotOf } from "./snapshot.js";
import type { Batch, Decision, DispatchReason, PipelineSpec, SchedulerEvent } from "./types.js";

export interface SchedulerOptions {
  readonly policy: PolicyName;
  /** A one-shot batch is kept so small that its run is expected to end within this time. */
  readonly realtimeTargetMs: number;
  /** Items that waited longer go first, oldest first. */
  readonly ageLimitMs: number;
  /** Rows that a generation pipeline may hold beyond its `rowsMax`, so that it need not wait for more. */
  readonly prefetchRows: number;
  /** The longest that a free one-shot pipeline is kept waiting for a fuller batch. Default: 100. */
  readonly lingerMsMax?: number;
}

/**
 * The first level: which items go to which pipeline, and when. One owner calls `step` with every event, in order, and
 * carries out what it decides, in order; the scheduler itself has no clock and does no I/O.
 *
 * ```
 *   event ──► apply: book · lanes · pipelines ──► resume: expire → suspects → feed → recall → wake ──► decisions
 * ```
 * Each event ends in the same `resume`, which looks at all the state and so does not care which event it was.
 * Work for a model without a pipeline stays queued until one comes up or its deadline passes. A throw of
 * `SchedulerBug` means that the event contradicts the state; the instance must not be used after it.
 *
 * Cost of a step: O(P²) for P pipelines of a model, and O(log n) for each item that is queued, sent or settled, with n
 * queued requests; nothing scans the queues. Memory: one entry for each item without an outcome, as many as admission
 * lets in, and bounded remainders (`lateItemsMax`, `idleTenantsMax`).
 */
export class Scheduler {
  readonly #options: Required<SchedulerOptions>;
  readonly #policy: Policy;
  readonly #book = new RequestBook();
  readonly #models = new Map<string, ModelState>();
  readonly #pipelines = new Map<string, PipelineState>();
  #decisions: Decision[] = [];
  #batches = 0;
  #lastMs = -Infinity;
  #wakeAtMs = Infinity;

  constructor(options: SchedulerOptions) {
    this.#options = { lingerMsMax: 100, ...options };
    this.#policy = policyOf(this.#options);
  }

  /** Decisions in the order in which they are to be carried out. `nowMs` never goes back. */
  step(event: SchedulerEvent, nowMs: number): readonly Decision[] {
    assertScheduler(nowMs >= this.#lastMs, `time went back from ${this.#lastMs} to ${nowMs}`);
    this.#lastMs = nowMs;
    this.#decisions = [];
    this.#apply(event, nowMs);
    this.#resume(nowMs);
    return this.#decisions;
  }

  snapshot(nowMs: number): SchedulerSnapshot {
    const { policy } = this.#options;
    const requests = this.#book.requests;
    return { policy, requests, ...snapshotOf([...this.#models.values()], nowMs) };
  }

  #apply(event: SchedulerEvent, nowMs: number): void {
    switch (event.type) {
      case "request": {
        const request = this.#book.add(event.request, nowMs);
        const lane = this.#model(request.model).lanes[request.class];
        lane.arrivals.arrived(request.open.size, nowMs);
        lane.enqueue([...request.open.values()]);
        return;
      }
      case "cancel": {
        // A request that is not known ended while its caller was leaving.
        const request = this.#book.request(event.requestId);
        if (request !== undefined) this.#drop(request);
        return;
      }
      case "pipeline-up":
        this.#pipelineUp(event.pipeline);
        return;
      case "pipeline-down":
        this.#pipelineDown(event.pipelineId);
        return;
      case "settled":
        this.#settled(event.pipelineId, event.itemId, nowMs);
        return;
      case "returned":
        this.#returned(event, nowMs);
        return;
      case "measured": {
        const model = this.#model(event.model);
        model.service.learn(event);
        model.cost.learn(event);
        return;
      }
      case "tick":
        return;
    }
  }

  #pipelineUp(spec: PipelineSpec): void {
    assertScheduler(!this.#pipelines.has(spec.pipelineId), `${spec.pipelineId} came up twice`);
    const pipeline = new PipelineState(spec);
    this.#pipelines.set(spec.pipelineId, pipeline);
    this.#model(spec.model).pipelines.push(pipeline);
  }

  #pipelineDown(pipelineId: string): void {
    const pipeline = this.#pipelines.get(pipelineId);
    assertScheduler(pipeline !== undefined, `${pipelineId} went down and was not up`);
    this.#pipelines.delete(pipelineId);
    const model = this.#model(pipeline.spec.model);
    model.pipelines.splice(model.pipelines.indexOf(pipeline), 1);
    model.suspects.pipelineDown(pipeline);
    for (const item of pipeline.items) {
      if (item.dropped) this.#book.forgetLate(item);
      else item.place = { kind: "orphaned", pipelineId };
    }
  }

  #settled(pipelineId: string, itemId: number, nowMs: number): void {
    const item = this.#book.item(itemId);
    if (item === undefined) return;
    this.#takeBack(item, pipelineId, nowMs);
    this.#book.forget(item);
  }

  /** The pipeline, dead or alive, no longer has the item. */
  #takeBack(item: ItemEntry, pipelineId: string, nowMs: number): void {
    const { place } = item;
    const isThere = place.kind === "held" || place.kind === "orphaned";
    assertScheduler(
      isThere && place.pipelineId === pipelineId,
      `${pipelineId} speaks of item ${item.itemId}, which is ${place.kind}${isThere ? ` by ${place.pipelineId}` : ""}`,
    );
    if (place.kind === "held") this.#pipelines.get(pipelineId)?.release(item, nowMs);
  }

  #returned(event: Extract<SchedulerEvent, { type: "returned" }>, nowMs: number): void {
    const comeBack = (itemIds: readonly number[]): ItemEntry[] => {
      const items: ItemEntry[] = [];
      for (const itemId of itemIds) {
        const item = this.#book.item(itemId);
        if (item === undefined) continue;
        this.#takeBack(item, event.pipelineId, nowMs);
        if (item.dropped) this.#book.forget(item);
        else items.push(item);
      }
      return items;
    };
    const byRequest = new Map<RequestEntry, ItemEntry[]>();
    for (const item of comeBack(event.innocent)) {
      item.place = { kind: "queued" };
      const siblings = byRequest.get(item.request);
      if (siblings === undefined) byRequest.set(item.request, [item]);
      else siblings.push(item);
    }
    for (const [request, items] of byRequest)
      this.#model(request.model).lanes[request.class].enqueue(items);
    for (const itemIds of event.groups) {
      const group = comeBack(itemIds);
      for (const item of group) item.place = { kind: "grouped" };
      const model = group[0]?.request.model;
      if (model !== undefined) this.#model(model).suspects.add(group);
    }
  }

  #resume(nowMs: number): void {
    this.#expire(nowMs);
    let wakeAtMs = this.#book.nextDeadline?.deadlineAtMs ?? Infinity;
    for (const model of this.#models.values()) {
      this.#sendSuspects(model, nowMs);
      wakeAtMs = Math.min(wakeAtMs, this.#feed(model, nowMs));
      if (this.#policy.recalls) this.#recall(model);
    }
    // A wake that comes too early does no harm, so only an earlier one replaces it.
    if (this.#wakeAtMs <= nowMs) this.#wakeAtMs = Infinity;
    if (wakeAtMs >= this.#wakeAtMs) return;
    this.#wakeAtMs = wakeAtMs;
    this.#decisions.push({ type: "wake", atMs: wakeAtMs });
  }

  #expire(nowMs: number): void {
    for (let request = this.#book.nextDeadline; request; request = this.#book.nextDeadline) {
      if (request.deadlineAtMs === null || request.deadlineAtMs > nowMs) return;
      const itemIds = [...request.open.keys()];
      this.#decisions.push({ type: "expire", requestId: request.requestId, itemIds });
      this.#drop(request);
    }
  }

  /** Nobody waits for the request: what is queued vanishes, what a pipeline holds is called off. */
  #drop(request: RequestEntry): void {
    const model = this.#model(request.model);
    const held = new Map<string, number[]>();
    const queued: ItemEntry[] = [];
    for (const item of request.open.values()) {
      if (item.place.kind === "queued") queued.push(item);
      if (item.place.kind === "grouped") model.suspects.remove(item);
      if (item.place.kind !== "held") continue;
      item.dropped = true;
      const { pipelineId } = item.place;
      const itemIds = held.get(pipelineId);
      if (itemIds === undefined) held.set(pipelineId, [item.itemId]);
      else itemIds.push(item.itemId);
    }
    model.lanes[request.class].dequeue(queued);
    this.#book.close(request);
    for (const item of request.open.values()) {
      if (item.place.kind === "orphaned") this.#book.forgetLate(item);
      else if (!item.dropped) this.#book.forget(item);
    }
    for (const [pipelineId, itemIds] of held)
      this.#decisions.push({ type: "cancel", pipelineId, itemIds });
  }

  #sendSuspects(model: ModelState, nowMs: number): void {
    const next = model.suspects.next(model.pipelines);
    if (next === null) return;
    const { pipeline, group } = next;
    const isRealtime = group.some((item) => item.request.class === "realtime");
    const workClass = isRealtime ? "realtime" : "bulk";
    this.#dispatch(pipeline, { class: workClass, reason: "exclusive", items: group }, nowMs);
  }

  /** Gives every pipeline what the policy chooses until nothing more fits; returns when to ask again. */
  #feed(model: ModelState, nowMs: number): number {
    for (;;) {
      let wakeAtMs = Infinity;
      let sent = false;
      for (const pipeline of model.queuedItems > 0 ? model.feedable() : []) {
        const choice = this.#choose(model, pipeline, nowMs);
        if (choice.type === "wait") {
          model.lanes[choice.class].windowOpen = true;
          wakeAtMs = Math.min(wakeAtMs, choice.untilMs);
        } else if (choice.type === "batch") {
          model.lanes[choice.class].windowOpen = false;
          this.#dispatch(pipeline, choice, nowMs);
          sent = true;
        }
      }
      if (!sent) return wakeAtMs;
    }
  }

  #choose(model: ModelState, pipeline: PipelineState, nowMs: number): Choice {
    const batchesMax =
      this.#policy.batchesMax ?? (pipeline.spec.mode === "one-shot" ? 2 : Infinity);
    if (pipeline.batches.length >= batchesMax) return { type: "none" };
    const view: PolicyView = {
      nowMs,
      pipeline,
      busyMs: pipeline.busyMs(nowMs),
      lanes: model.lanesFor(pipeline),
      bounds: (workClass) => this.#bounds(model, pipeline, workClass),
      expectedMs: (paddedTokens) => model.service.expectedMs(paddedTokens),
    };
    return this.#policy.choose(view);
  }

  #bounds(model: ModelState, pipeline: PipelineState, workClass: WorkClass): BatchBounds {
    const { rowsMax, mode } = pipeline.spec;
    if (mode === "one-shot") {
      const costMax = model.cost.costMax;
      return { rowsMax, rowsShare: Infinity, costMax, oversizeAlone: true };
    }
    const lane = model.lanes[workClass];
    const oldest = lane.oldest.peek();
    const aged = oldest !== undefined && this.#lastMs - oldest.arrivedMs > this.#options.ageLimitMs;
    const { prefetchRows } = this.#options;
    const free = model
      .feedable()
      .filter((each) => model.lanesFor(each)[workClass] !== undefined)
      .filter((each) => rowsRoom(each, workClass, { prefetchRows, aged }) > 0);
    // As if all that is queued were spread so that these pipelines hold the same number of rows.
    const all = free.reduce((rows, each) => rows + each.load, lane.rows);
    const share = Math.max(1, Math.ceil(all / Math.max(1, free.length)) - pipeline.load);
    return {
      rowsMax: rowsRoom(pipeline, workClass, { prefetchRows, aged }),
      rowsShare: this.#policy.shares ? share : Infinity,
      // Level two packs encoder chunks and decoder steps by itself.
      costMax: Infinity,
      oversizeAlone: pipeline.rows[workClass] === 0,
    };
  }

  #dispatch(
    pipeline: PipelineState,
    choice: { class: WorkClass; reason: DispatchReason; items: readonly ItemEntry[] },
    nowMs: number,
  ): void {
    const { items, reason } = choice;
    const model = this.#model(pipeline.spec.model);
    const lane = model.lanes[choice.class];
    const batch = batchOf(choice, { batchId: this.#batches++, nowMs });
    if (reason !== "exclusive") {
      const byRequest = new Map<RequestEntry, ItemEntry[]>();
      for (const item of items) {
        const siblings = byRequest.get(item.request);
        if (siblings === undefined) byRequest.set(item.request, [item]);
        else siblings.push(item);
      }
      for (const [request, taken] of byRequest) {
        let costMs = 0;
        for (const item of taken) costMs += model.service.expectedMs(item.tokens * item.rows);
        lane.tenants.charge(request.tenant, costMs);
        lane.dequeue(taken);
      }
      model.cost.dispatched();
    }
    const { pipelineId } = pipeline.spec;
    for (const item of items) item.place = { kind: "held", pipelineId };
    const expectedMs = model.service.expectedMs(batch.paddedTokens);
    pipeline.hold(batch, { items, expectedMs, nowMs });
    this.#decisions.push({ type: "dispatch", pipelineId, batch });
  }

  /** One waiting bulk batch at a time is asked back when realtime finds every place of a one-shot model taken. */
  #recall(model: ModelState): void {
    if (model.lanes.realtime.items === 0) return;
    const candidates: PipelineState[] = [];
    for (const pipeline of model.feedable()) {
      if (pipeline.spec.mode !== "one-shot" || model.lanesFor(pipeline).realtime === undefined)
        continue;
      const waiting = pipeline.batches[1];
      // A free place, or one that is being freed: nothing to ask for.
      if (waiting === undefined || waiting.recalled) return;
      if (waiting.recallable) candidates.push(pipeline);
    }
    const busyMs = (pipeline: PipelineState): number => pipeline.busyMs(this.#lastMs);
    const soonest = candidates.toSorted((a, b) => busyMs(a) - busyMs(b))[0];
    const waiting = soonest?.batches[1];
    if (soonest === undefined || waiting === undefined) return;
    waiting.recalled = true;
    const itemIds = [...waiting.items].map((item) => item.itemId);
    this.#decisions.push({ type: "recall", pipelineId: soonest.spec.pipelineId, itemIds });
  }

  #model(name: string): ModelState {
    let model = this.#models.get(name);
    if (model === undefined) {
      model = new ModelState(name, this.#options.realtimeTargetMs);
      this.#models.set(name, model);
    }
    return model;
  }
}

function policyOf(options: Required<SchedulerOptions>): Policy {
  switch (options.policy) {
    case "millrace":
      return new MillracePolicy(options);
    case "fcfs":
      return new FirstComePolicy();
    case "seed-router":
      return new SeedRouterPolicy(options);
  }
}

function batchOf(
  choice: { class: WorkClass; reason: DispatchReason; items: readonly ItemEntry[] },
  at: { readonly batchId: number; readonly nowMs: number },
): Batch {
  const { items, reason } = choice;
  let rows = 0;
  let tokens = 0;
  let width = 0;
  let oldestMs = at.nowMs;
  for (const item of items) {
    rows += item.rows;
    tokens += item.tokens;
    width = Math.max(width, item.tokens);
    oldestMs = Math.min(oldestMs, item.request.arrivedMs);
  }
  return {
    batchId: at.batchId,
    class: choice.class,
    reason,
    exclusive: reason === "exclusive",
    spans: spansOf(items),
    rows,
    tokens,
    paddedTokens: items.length * width,
    waitedMs: at.nowMs - oldestMs,
  };
}
