import { Agenda } from "./agenda.js";
import { assertScheduler, SchedulerBug } from "./assert.js";
import { batchOf } from "./batch.js";
import { type FedPipeline, itemsOf } from "./fed-pipeline.js";
import { feed } from "./feed.js";
import { leastWaitMs, type Newcomer } from "./least-wait.js";
import { ModelState } from "./model-state.js";
import { Placement } from "./placement.js";
import type { BatchChoice, Policy, PolicyName } from "./policy.js";
import { FirstComePolicy } from "./policy-fcfs.js";
import { MillracePolicy } from "./policy-millrace.js";
import { SeedRouterPolicy } from "./policy-seed-router.js";
import { classOf, ranks } from "./rank.js";
import { batchToRecall } from "./recall.js";
import {
  byRequest,
  grouped,
  type ItemEntry,
  openItemsOf,
  queued,
  RequestBook,
  type RequestEntry,
  type Share,
  type Whereabouts,
} from "./request-book.js";
import { type SchedulerSnapshot, snapshotOf } from "./snapshot.js";
import type { Decision, SchedulerEvent } from "./types.js";

export interface SchedulerOptions {
  readonly policy: PolicyName;
  /** A one-shot batch is kept so small that its run is expected to end within this time. */
  readonly realtimeTargetMs: number;
  /** Items that waited longer go first, oldest first. */
  readonly ageLimitMs: number;
  /** Rows of a continuous model that a pipeline may hold beyond its `rowsMax`, so that it need not wait for more. */
  readonly prefetchRows: number;
  /** The longest window: how long a free one-shot pipeline is kept waiting for a fuller batch. Default: 100. */
  readonly windowMsMax?: number;
  /** How long a model whose load failed is held back, doubling with each failure in a row. Default: 500 to 30,000. */
  readonly loadBackoffMinMs?: number;
  readonly loadBackoffMaxMs?: number;
}

/**
 * READ FIRST. The first level: which items go to which pipeline, and when. One owner calls `step` with every event, in
 * order, and carries out what it decides, in order; the scheduler itself has no clock and does no I/O.
 *
 * ```
 *   event ──► apply: book · queues · hosts ──► resume: expire → suspects → feed → recall → place → wake ──► decisions
 *             (touches models)                         └── for the models touched or due ──┘    (again, if it touched any)
 * ```
 * Each event ends in the same `resume`, which looks at all of a model's state and so does not care which event it was.
 * Work for a model that no pipeline has stays queued until one has loaded it, nobody can (`abandon`), or its deadline
 * passes. Which pipeline hosts what is placement.ts; to its models a pipeline is a `FedPipeline` each. A throw of `SchedulerBug`
 * means that the event contradicts the state, and that neither is to be believed: the instance refuses every later step.
 *
 * Cost of a step: O(P) for P pipelines of the model that the event is about, nothing for other models until their time
 * comes (see agenda.ts), and O(log n) for each item that is queued, sent or settled, with n queued requests; nothing scans
 * the queues. What a batch costs by pipelines is told in feed.ts, what an item costs by batch keys in class-queue.ts.
 * Memory: one entry for each item without an outcome, as many as admission lets in, bounded remainders (`lateItemsMax`,
 * `idleTenantsMax`, `arrivalKeysMax`), and a state for each model until it is gone: the owner lets in served ones only.
 */
export class Scheduler {
  readonly #options: Required<SchedulerOptions>;
  readonly #policy: Policy;
  readonly #book = new RequestBook();
  readonly #models = new Map<string, ModelState>();
  readonly #placement: Placement;
  readonly #agenda = new Agenda();
  #decisions: Decision[] = [];
  #batches = 0;
  #named = 0;
  #nowMs = -Infinity;
  #wakeAtMs = Infinity;
  #brokenBy: unknown = null;

  constructor(options: SchedulerOptions) {
    this.#options = {
      windowMsMax: 100,
      loadBackoffMinMs: 500,
      loadBackoffMaxMs: 30_000,
      ...options,
    };
    this.#policy = policyOf(this.#options);
    this.#placement = new Placement(this.#options, {
      touch: (model) => this.#agenda.touch(model),
      decide: (decision) => this.#decisions.push(decision),
    });
  }

  /** Decisions in the order in which they are to be carried out. `nowMs` never goes back. */
  step(event: SchedulerEvent, nowMs: number): readonly Decision[] {
    if (this.#brokenBy !== null)
      throw new SchedulerBug("the scheduler was broken before", { cause: this.#brokenBy });
    try {
      const beforeMs = this.#nowMs;
      assertScheduler(nowMs >= beforeMs, () => `time went back from ${beforeMs} to ${nowMs}`);
      this.#nowMs = nowMs;
      this.#decisions = [];
      this.#apply(event);
      this.#resume();
      return this.#decisions;
    } catch (error) {
      this.#brokenBy = error;
      throw error;
    }
  }

  /** For the door: how long nothing of a request could be begun that came now, at the least; 0: not known. */
  leastWaitMs(newcomer: Newcomer, nowMs: number): number {
    const model = this.#models.get(newcomer.model);
    if (model === undefined) return 0;
    const largeRows = this.#largeRowsOf(model);
    return leastWaitMs(model, newcomer, { policy: this.#policy, largeRows, nowMs });
  }

  snapshot(nowMs: number): SchedulerSnapshot {
    const { policy } = this.#options;
    const requests = this.#book.requests;
    const models = [...this.#models.values()];
    return { policy, requests, ...snapshotOf(models, { nowMs, ...this.#options }) };
  }

  #apply(event: SchedulerEvent): void {
    switch (event.type) {
      case "request": {
        const model = this.#touch(event.request.model);
        const request = this.#book.add(event.request, this.#nowMs, this.#largeRowsOf(model));
        model.queues[request.rank].arrive(request, this.#nowMs);
        return;
      }
      case "cancel": {
        // A request that is not known ended while its caller was leaving.
        const request = this.#book.request(event.requestId);
        if (request !== undefined) this.#drop(request);
        return;
      }
      case "model":
        this.#placement.announce(this.#touch(event.model.model), event.model);
        return;
      case "model-gone":
        this.#placement.retire(this.#touch(event.model));
        return;
      case "pipeline-up":
        this.#placement.hostUp(event.pipeline);
        return;
      case "loaded":
        this.#placement.loaded(event, this.#touch(event.model), this.#nowMs);
        return;
      case "load-failed":
        this.#placement.loadFailed(event, this.#touch(event.model), this.#nowMs);
        return;
      case "pipeline-down":
        this.#pipelineDown(event);
        return;
      case "settled":
        this.#settled(event.pipelineId, event.itemId);
        return;
      case "returned":
        this.#returned(event);
        return;
      case "measured": {
        // What is said of a model that is gone teaches nobody anything.
        if (!this.#models.has(event.model)) return;
        const model = this.#touch(event.model);
        model.service.learn(event);
        model.cost.learn(event);
        return;
      }
      case "tick":
        return;
    }
  }

  #pipelineDown(event: Extract<SchedulerEvent, { type: "pipeline-down" }>): void {
    const { pipelineId } = event;
    const { residents } = this.#placement.hostDown(event, this.#nowMs);
    for (const resident of residents.values()) {
      this.#touch(resident.model.model).pipelineDown(resident);
      for (const item of resident.items) {
        if (item.dropped) this.#book.forgetLate(item);
        else item.whereabouts = { kind: "orphaned", pipelineId };
      }
    }
  }

  #settled(pipelineId: string, itemId: number): void {
    const item = this.#book.item(itemId);
    if (item === undefined) return;
    const { whereabouts, dropped } = item;
    if (whereabouts.kind === "held" && !dropped) whereabouts.pipeline.settled(item, this.#nowMs);
    this.#takeBack(item, pipelineId);
    this.#book.forget(item);
  }

  /** The pipeline, dead or alive, no longer has the item. */
  #takeBack(item: ItemEntry, pipelineId: string): void {
    const { whereabouts } = item;
    const where = pipelineIdOf(whereabouts);
    assertScheduler(
      where === pipelineId,
      () =>
        `${pipelineId} speaks of item ${item.itemId}, which is ${whereabouts.kind}${where === null ? "" : ` by ${where}`}`,
    );
    if (whereabouts.kind !== "held") {
      this.#touch(item.request.model);
      return;
    }
    this.#agenda.touch(whereabouts.pipeline.model);
    whereabouts.pipeline.release(item, whereabouts.batch, this.#nowMs);
    this.#placement.released(whereabouts.pipeline);
  }

  #returned(event: Extract<SchedulerEvent, { type: "returned" }>): void {
    const comeBack = (itemIds: readonly number[]): ItemEntry[] => {
      const items: ItemEntry[] = [];
      for (const itemId of itemIds) {
        const item = this.#book.item(itemId);
        if (item === undefined) continue;
        this.#takeBack(item, event.pipelineId);
        if (item.dropped) this.#book.forget(item);
        else items.push(item);
      }
      return items;
    };
    const innocent = comeBack(event.innocent);
    for (const item of innocent) item.whereabouts = queued;
    for (const { request, items } of byRequest(innocent))
      this.#touch(request.model).queues[request.rank].enqueue(items);
    for (const itemIds of event.groups) {
      const group = comeBack(itemIds);
      const byModel = new Map<string, ItemEntry[]>();
      for (const item of group) {
        item.whereabouts = grouped;
        const { model } = item.request;
        byModel.set(model, [...(byModel.get(model) ?? []), item]);
      }
      for (const [model, items] of byModel) this.#touch(model).suspects.add(items);
    }
  }

  #resume(): void {
    this.#expire();
    let models = this.#agenda.take(this.#nowMs);
    do {
      for (const model of models) this.#look(model);
      this.#placement.place(this.#nowMs);
      models = this.#agenda.takeTouched();
    } while (models.length > 0);
    // A wake that comes too early does no harm, so only an earlier one replaces it.
    if (this.#wakeAtMs <= this.#nowMs) this.#wakeAtMs = Infinity;
    const deadlineAtMs = this.#book.nextDeadline?.deadlineAtMs ?? Infinity;
    const wakeAtMs = Math.min(deadlineAtMs, this.#agenda.windowEndsMs, this.#placement.nextAtMs);
    if (wakeAtMs >= this.#wakeAtMs) return;
    this.#wakeAtMs = wakeAtMs;
    this.#decisions.push({ type: "wake", atMs: wakeAtMs });
  }

  #expire(): void {
    for (let request = this.#book.nextDeadline; request; request = this.#book.nextDeadline) {
      if (request.deadlineAtMs === null || request.deadlineAtMs > this.#nowMs) return;
      const itemIds = openItemsOf(request).map(({ itemId }) => itemId);
      this.#decisions.push({ type: "expire", requestId: request.requestId, itemIds });
      this.#drop(request);
    }
  }

  /** Nobody waits for the request: what is queued vanishes, what a pipeline holds is called off. */
  #drop(request: RequestEntry): void {
    const model = this.#touch(request.model);
    const held = new Map<string, number[]>();
    const waiting: ItemEntry[] = [];
    const open = openItemsOf(request);
    for (const item of open) {
      const { whereabouts } = item;
      if (whereabouts.kind === "queued") waiting.push(item);
      if (whereabouts.kind === "grouped") model.suspects.remove(item);
      if (whereabouts.kind !== "held") continue;
      item.dropped = true;
      const { pipelineId } = whereabouts.pipeline.capacity;
      const itemIds = held.get(pipelineId);
      if (itemIds === undefined) held.set(pipelineId, [item.itemId]);
      else itemIds.push(item.itemId);
    }
    model.queues[request.rank].dequeue(waiting.toReversed());
    this.#book.close(request);
    for (const item of open) {
      if (item.whereabouts.kind === "orphaned") this.#book.forgetLate(item);
      else if (!item.dropped) this.#book.forget(item);
    }
    for (const [pipelineId, itemIds] of held)
      this.#decisions.push({ type: "cancel", pipelineId, itemIds });
  }

  /** Everything that one model may be sent or asked now, and when it wants to be looked at again. */
  #look(model: ModelState): void {
    const { ageLimitMs, prefetchRows } = this.#options;
    const policy = this.#policy;
    if (this.#placement.isHopeless(model, this.#nowMs)) this.#abandon(model);
    this.#sendSuspects(model);
    const windowEndsMs = feed(model, {
      policy,
      ageLimitMs,
      prefetchRows,
      nowMs: this.#nowMs,
      dispatch: (pipeline, choice) => this.#dispatch(pipeline, choice),
    });
    if (policy.recalls) this.#recall(model);
    let agesAtMs = Infinity;
    for (const rank of ranks) {
      const oldest = model.queues[rank].oldest.first;
      if (oldest !== undefined && this.#nowMs - oldest.arrivedMs <= ageLimitMs)
        agesAtMs = Math.min(agesAtMs, oldest.arrivedMs + ageLimitMs);
    }
    this.#placement.look(model, this.#nowMs);
    this.#agenda.plan(model, { windowEndsMs, agesAtMs });
    const { place, pipelines, isAskedFor } = model;
    // A new one of its name would begin anew.
    if (place.isGone && pipelines.length + place.comingTo.size === 0 && !isAskedFor)
      this.#forget(model);
  }

  #forget(model: ModelState): void {
    if (this.#book.isNamed(model.model)) return;
    this.#agenda.plan(model, { windowEndsMs: Infinity, agesAtMs: Infinity });
    this.#models.delete(model.model);
  }

  /** Those who wait for a model that nobody can load are told so; what is on its way back from a dead pipeline follows. */
  #abandon(model: ModelState): void {
    const { reason: why, fault } = model.place;
    const reason = why ?? "it is not served any more";
    const waiting = [
      ...ranks.flatMap((each) => [...model.queues[each].oldest.ordered()]),
      ...model.suspects.requests,
    ];
    for (const request of new Set(waiting)) {
      const items = openItemsOf(request).filter(
        ({ whereabouts: { kind } }) => kind === "queued" || kind === "grouped",
      );
      const isQueued = ({ whereabouts }: ItemEntry): boolean => whereabouts.kind === "queued";
      model.queues[request.rank].dequeue(items.filter(isQueued).toReversed());
      for (const item of items) {
        model.suspects.remove(item);
        this.#book.forget(item);
      }
      const itemIds = items.map(({ itemId }) => itemId);
      const { requestId } = request;
      const abandon = { type: "abandon", requestId, itemIds, reason } as const;
      this.#decisions.push(fault === null ? abandon : { ...abandon, fault });
    }
  }

  #sendSuspects(model: ModelState): void {
    const before = model.suspects.pipeline;
    const next = model.suspects.next(model);
    if (before !== null && before !== model.suspects.pipeline) this.#placement.opened(before.host);
    if (next === null) return;
    const { pipeline, group } = next;
    const isRealtime = group.some((item) => item.request.class === "realtime");
    const rank = isRealtime ? "small" : "bulk";
    this.#send(pipeline, { rank, reason: "exclusive", items: group });
  }

  /** Takes the chosen items out of their queue, charges their tenants and sends them. */
  #dispatch(pipeline: FedPipeline, choice: BatchChoice): void {
    const { model } = pipeline;
    const queue = model.queues[choice.rank];
    const shares = byRequest(choice.items);
    for (const { request, items } of shares) {
      let costMs = 0;
      for (const item of items) costMs += model.service.expectedMs(item.units * item.rows);
      queue.tenants.charge(request.tenant, costMs);
      queue.dequeue(items);
    }
    model.cost.dispatched();
    this.#placement.guests(pipeline, classOf(choice.rank));
    this.#send(pipeline, choice, shares);
  }

  #send(
    pipeline: FedPipeline,
    choice: Omit<BatchChoice, "type">,
    shares: readonly Share[] = byRequest(choice.items),
  ): void {
    const nowMs = this.#nowMs;
    const givesWay = givesWayOn(pipeline, choice);
    const batch = batchOf(choice, { batchId: this.#batches++, nowMs, givesWay, shares });
    const { pipelineId } = pipeline.capacity;
    const expectedMs = pipeline.model.service.expectedMs(batch.paddedUnits);
    const { rows, units } = batch;
    pipeline.model.usual.learn({ items: choice.items.length, rows, units });
    pipeline.hold(batch, { items: choice.items, expectedMs, nowMs });
    this.#decisions.push({ type: "dispatch", pipelineId, batch });
  }

  #recall(model: ModelState): void {
    const found = batchToRecall(model, this.#nowMs);
    if (found === null) return;
    const { pipeline, batch } = found;
    batch.recalled = true;
    const itemIds = itemsOf(batch).map((item) => item.itemId);
    this.#decisions.push({ type: "recall", pipelineId: pipeline.capacity.pipelineId, itemIds });
  }

  /**
   * Half of what a pipeline runs at once of it. One that takes batches is none that a request could fill for long, and in one of a
   * single row every sentence would be large, and give way to those that come after it.
   */
  #largeRowsOf({ mode, place: { rowsMax } }: ModelState): number {
    if (!this.#policy.ranksLarge || mode !== "continuous" || rowsMax < 2) return Infinity;
    return rowsMax / 2;
  }

  #model(name: string): ModelState {
    let model = this.#models.get(name);
    if (model === undefined) {
      const { realtimeTargetMs, ageLimitMs } = this.#options;
      model = new ModelState(name, { sequence: this.#named++, realtimeTargetMs, ageLimitMs });
      this.#models.set(name, model);
    }
    return model;
  }

  /** The model changes with this event, so `resume` looks at it. */
  #touch(name: string): ModelState {
    const model = this.#model(name);
    this.#agenda.touch(model);
    return model;
  }
}

/**
 * What is large gives way inside the pipeline as bulk does, and shares with it as an equal: so not where bulk is, nor once it has waited
 * too long.
 */
function givesWayOn(
  { host }: FedPipeline,
  { rank, reason }: Pick<BatchChoice, "rank" | "reason">,
): boolean {
  return rank === "large" && reason !== "aged" && host.inFlight.bulk === 0;
}

function pipelineIdOf(whereabouts: Whereabouts): string | null {
  switch (whereabouts.kind) {
    case "held":
      return whereabouts.pipeline.capacity.pipelineId;
    case "orphaned":
      return whereabouts.pipelineId;
    case "queued":
    case "grouped":
    case "over":
      return null;
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
