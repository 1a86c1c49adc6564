import type { Newcomer } from "#src/scheduler/least-wait.js";
import type { Rank } from "#src/scheduler/rank.js";
import type { SchedulerSnapshot } from "#src/scheduler/snapshot.js";
import type { Batch, Decision, SchedulerEvent } from "#src/scheduler/types.js";
import { HostingAccount } from "./hosting-rules.js";
import { IdleRules } from "./idle-rules.js";
import {
  type CheckOptions,
  fail,
  type Item,
  type Pipeline,
  SchedulerAccount,
  sum,
  weightOf,
} from "./scheduler-account.js";

/**
 * An independent, slow and simple account of what the scheduler was told and what it decided. It shares no code with
 * the scheduler and checks every promise after every step.
 */
export class Checker {
  readonly #options: CheckOptions;
  readonly #account: SchedulerAccount;
  readonly #idle: IdleRules;
  readonly hosting: HostingAccount;
  #wakeAtMs = Infinity;
  dispatched = 0;

  get items(): number {
    return this.#account.items.size;
  }

  constructor(options: CheckOptions) {
    this.#options = options;
    this.#account = new SchedulerAccount(options);
    this.hosting = new HostingAccount(options, {
      waiting: (model) => this.#account.waitingFor(model),
      inFlight: (pipelineId, model) => this.#account.inFlight(pipelineId, model),
    });
    this.#idle = new IdleRules(this.#account, this.hosting, options);
  }

  /** Told before the step. */
  before(event: SchedulerEvent, nowMs: number): void {
    this.hosting.before(event, nowMs);
    this.#account.told(event, nowMs);
  }

  after(decisions: readonly Decision[], snapshot: SchedulerSnapshot, nowMs: number): void {
    const cancelled = new Set<number>();
    for (const decision of decisions) {
      this.hosting.after(decision, nowMs);
      switch (decision.type) {
        case "unload":
          this.#account.pipelines.delete(`${decision.pipelineId} ${decision.model}`);
          break;
        case "abandon":
          this.#abandon(decision);
          break;
        case "load":
        case "hold":
          break;
        case "dispatch":
          this.#dispatch(decision.pipelineId, decision.batch, { snapshot, nowMs });
          break;
        case "expire":
          this.#expire(decision, nowMs);
          break;
        case "cancel":
          for (const itemId of decision.itemIds) cancelled.add(itemId);
          break;
        case "recall":
          this.#recall(decision);
          break;
        case "wake":
          this.#wakeAtMs = decision.atMs;
          break;
      }
    }
    this.#checkCancels(cancelled);
    this.#checkDeadlines(nowMs);
    this.#idle.check(nowMs, this.#wakeAtMs);
    if (![...this.#account.up.keys()].some((each) => this.#account.isReserved(each)))
      this.hosting.checkIdle(nowMs);
    if (this.#wakeAtMs <= nowMs) this.#wakeAtMs = Infinity;
  }

  /** Whether there is older work of its rank that goes before it, and that its own deadline does not take away before. */
  surelyWaits(newcomer: Newcomer, nowMs: number): boolean {
    const rank = this.#account.rankOf({ ...newcomer, items: [newcomer] });
    const { policy } = this.#options;
    if (policy !== "millrace") return false;
    return this.#account.waitingFor(newcomer.model).some(({ state, request }) => {
      const isLeft = (request.deadlineAtMs ?? Infinity) > newcomer.deadlineAtMs;
      return (
        state === "queued" &&
        request.rank === rank &&
        isLeft &&
        this.#account.isAged(request, nowMs)
      );
    });
  }

  /** Told when nothing will ever happen again. */
  atEnd(): void {
    for (const item of this.#account.items.values())
      if (item.state !== "done")
        fail("every item has one outcome", `item ${item.itemId} is ${item.state} for ever`);
  }

  #abandon({ requestId, itemIds, fault }: Extract<Decision, { type: "abandon" }>): void {
    for (const itemId of itemIds) {
      const item = this.#account.item(itemId);
      if (item.request.requestId !== requestId || !["queued", "grouped"].includes(item.state))
        fail("every item has one outcome", `item ${itemId} is given up and is ${item.state}`);
      this.hosting.abandoned(item.request.model, fault ?? null);
      this.#account.set(item, "done");
    }
  }

  #expire(decision: Extract<Decision, { type: "expire" }>, nowMs: number): void {
    const request = this.#account.requests.get(decision.requestId);
    const isDue = (request?.deadlineAtMs ?? Infinity) <= nowMs;
    if (request === undefined || !isDue)
      fail("a deadline expires on time", `request ${decision.requestId} is not due`);
    for (const itemId of decision.itemIds) {
      const item = this.#account.item(itemId);
      if (item.state === "done" || request.absent)
        fail("every item has one outcome", `item ${itemId} expires after its outcome`);
    }
    const open = request.items.filter(({ state }) => state !== "done").length;
    if (open !== decision.itemIds.length)
      fail("every item has one outcome", `${open} items of ${request.requestId} were to expire`);
    this.#account.absent(request);
  }

  #recall({ pipelineId, itemIds }: Extract<Decision, { type: "recall" }>): void {
    for (const held of this.#account.hostedBy(pipelineId).flatMap(({ batches }) => batches)) {
      if (![...held.items].some(({ itemId }) => itemIds.includes(itemId))) continue;
      held.recalled = true;
      if (held.batch.reason === "aged")
        fail("aged bulk takes turns with realtime", `its batch is recalled from ${pipelineId}`);
    }
  }

  #dispatch(
    pipelineId: string,
    batch: Batch,
    at: { readonly snapshot: SchedulerSnapshot; readonly nowMs: number },
  ): void {
    const pipeline = this.#account.pipelines.get(`${pipelineId} ${batch.model}`);
    if (pipeline === undefined)
      return fail("only what is loaded is fed", `${batch.model} on ${pipelineId}`);
    this.hosting.fed(pipelineId, batch.model, batch.class);
    const items = batch.segments.flatMap(({ itemIds }) =>
      itemIds.map((itemId) => this.#account.item(itemId)),
    );
    this.#checkItems(items, batch, at.nowMs);
    if (batch.exclusive) this.#checkExclusive(pipeline, items);
    else this.#checkNormal(pipeline, items, { ...at, batch });
    for (const item of items) {
      this.#account.set(item, "held");
      item.pipelineId = pipelineId;
    }
    pipeline.batches.push({ items: new Set(items), batch, recalled: false });
    this.dispatched += 1;
    if (!batch.exclusive) this.#checkOrder(pipeline, items, { ...at, batch });
    pipeline.exclusive = batch.exclusive;
    pipeline.lastClass = batch.class;
  }

  #checkItems(items: readonly Item[], batch: Batch, nowMs: number): void {
    if (new Set(items).size !== items.length)
      fail("a queued item only is dispatched", `batch ${batch.batchId} has an item twice`);
    for (const item of items) {
      const { request } = item;
      if (request.absent || (request.deadlineAtMs ?? Infinity) <= nowMs)
        fail("work for absent callers is never dispatched", `item ${item.itemId}`);
      const expected = batch.exclusive ? "grouped" : "queued";
      if (item.state !== expected)
        fail("a queued item only is dispatched", `item ${item.itemId} is ${item.state}`);
    }
    for (const { requestId, itemIds } of batch.segments) {
      const segment = itemIds.map((itemId) => this.#account.item(itemId));
      const isSorted = segment.every(
        (item, at) => at === 0 || (segment[at - 1]?.order ?? 0) < item.order,
      );
      if (!isSorted || segment.some(({ request }) => request.requestId !== requestId))
        fail("segments take a batch apart", `segment of request ${requestId}`);
    }
    if (new Set(items.map(({ batchKey }) => batchKey)).size !== 1)
      fail("a batch has one key", `batch ${batch.batchId}`);
    const widest = Math.max(...items.map(({ width }) => width));
    const padded = items.reduce((total, { units, width }) => total + units * (widest / width), 0);
    const sums = [sum(items, "rows"), sum(items, "units"), padded];
    const said = [batch.rows, batch.units, batch.paddedUnits];
    if (sums.some((each, at) => Math.abs(each - (said[at] ?? 0)) > 1e-9 * each))
      fail("segments take a batch apart", `batch says ${said.join()}, holds ${sums.join()}`);
  }

  #checkExclusive(pipeline: Pipeline, items: readonly Item[]): void {
    const group = this.#account.groups.find((each) =>
      each.items.includes(items[0] ?? fail("suspects run alone", "nobody")),
    );
    const expected = group?.items.filter(({ state }) => state === "grouped") ?? [];
    const { pipelineId } = pipeline.spec;
    if (this.#account.hostedBy(pipelineId).some(({ batches }) => batches.length > 0))
      fail("suspects run alone", `${pipelineId} is not empty`);
    if (this.hosting.isLoading(pipelineId)) fail("suspects run alone", `${pipelineId} loads`);
    if (expected.length !== items.length || items.some((item) => !expected.includes(item)))
      fail("suspects run alone", "a group is sent in pieces or with others");
    this.#account.groups = this.#account.groups.filter((each) => each !== group);
  }

  #checkNormal(
    pipeline: Pipeline,
    items: readonly Item[],
    at: { batch: Batch; snapshot: SchedulerSnapshot },
  ): void {
    const { spec, batches } = pipeline;
    const { batch } = at;
    if (this.#account.hostedBy(spec.pipelineId).some(({ exclusive }) => exclusive))
      fail("suspects run alone", `${spec.pipelineId} gets company`);
    if (this.hosting.isLoading(spec.pipelineId))
      fail("only what is loaded is fed", `${spec.pipelineId} loads`);
    for (const { request } of items) {
      if (request.model !== spec.model || !this.#account.serves(pipeline, request.class))
        fail("a pipeline serves its kind", `${spec.kind} got ${request.class} of ${request.model}`);
      if (request.class !== batch.class)
        fail("a pipeline serves its kind", "a batch of two classes");
    }
    const rank = this.#checkRank(pipeline, items, batch);
    const batchesMax = this.#options.policy === "seed-router" ? 1 : 2;
    const isBounded = spec.mode === "one-shot" || this.#options.policy === "seed-router";
    if (isBounded && batches.length >= batchesMax)
      fail("a pipeline holds no more batches than allowed", spec.pipelineId);
    const isAlone = items.length === 1;
    const room = spec.mode === "one-shot" ? spec.rowsMax : this.#account.roomMost(pipeline, rank);
    const isOversize =
      isAlone && (spec.mode === "one-shot" || this.#account.rows(pipeline, rank) === 0);
    if (batch.rows > room && !isOversize)
      fail("a batch stays within the rows", `${batch.rows} rows where ${room} fit`);
    if (spec.mode !== "one-shot" || isAlone || this.#options.policy === "seed-router") return;
    const lines = Object.values(
      at.snapshot.models.find(({ model }) => model === spec.model)?.service ?? {},
    );
    const expectedMs = lines.reduce(
      (ms, line) => ms + line.perRunMs + line.perUnitMs * batch.paddedUnits,
      0,
    );
    if (expectedMs > this.#options.realtimeTargetMs * 1.001)
      fail("a batch stays within the cost", `${batch.paddedUnits} units take ${expectedMs} ms`);
  }

  /** Large realtime gives way inside the pipeline: not beside bulk, whose equal it would be there, nor once it is aged. */
  #checkRank({ spec }: Pipeline, items: readonly Item[], batch: Batch): Rank {
    const [rank, other] = new Set(items.map(({ request }) => request.rank));
    if (rank === undefined || other !== undefined)
      return fail("what is large gives way", `batch ${batch.batchId} has two ranks`);
    const gives =
      rank === "large" && batch.reason !== "aged" && !this.#account.holdsBulk(spec.pipelineId);
    if (batch.givesWay !== gives)
      fail("what is large gives way", `batch ${batch.batchId} of ${rank}: ${batch.givesWay}`);
    return rank;
  }

  /** Called when the batch has left the queue: what is queued now was passed over. */
  #checkOrder(
    pipeline: Pipeline,
    items: readonly Item[],
    at: { batch: Batch; nowMs: number },
  ): void {
    const { batch, nowMs } = at;
    const youngest = Math.max(...items.map(({ request }) => request.sequence));
    const passedOver = this.#account
      .queued(pipeline)
      .filter(({ request }) => request.sequence < youngest);
    const { policy } = this.#options;
    if (policy === "fcfs" && passedOver.length > 0)
      fail("first come is first served", `item ${passedOver[0]?.itemId} was passed over`);
    if (policy === "seed-router") this.#checkWeights(pipeline, items);
    if (policy !== "millrace") return;
    // Who shares the key of an older one may ride along with it, past those of other keys.
    const eldest = Math.min(...items.map(({ request }) => request.sequence));
    const aged = passedOver.find(
      ({ request, batchKey }) =>
        request.rank === items[0]?.request.rank &&
        this.#account.isAged(request, nowMs) &&
        (batchKey === items[0]?.batchKey || request.sequence < eldest),
    );
    if (aged !== undefined)
      fail("older than the age limit goes first", `item ${aged.itemId} was passed over`);
    if (pipeline.spec.mode !== "one-shot") return;
    const queued = this.#account.queued(pipeline);
    const hasAgedBulk = queued.some(
      ({ request }) => request.class === "bulk" && this.#account.isAged(request, nowMs),
    );
    if (batch.class === "realtime" && pipeline.lastClass === "realtime" && hasAgedBulk)
      fail("aged bulk takes turns with realtime", "two realtime batches in a row");
    const hasRealtime = queued.some(({ request }) => request.class === "realtime");
    if (batch.class === "bulk" && hasRealtime && batch.reason !== "aged")
      fail("realtime goes before bulk", `batch ${batch.batchId}`);
  }

  #checkWeights(pipeline: Pipeline, items: readonly Item[]): void {
    const least = Math.min(...items.map(({ request }) => weightOf(request)));
    const better = this.#account
      .queued(pipeline)
      .find(
        ({ request }) => request.class === items[0]?.request.class && weightOf(request) < least,
      );
    if (better !== undefined)
      fail("the seeds' router weighs size and arrival", `item ${better.itemId} was passed over`);
  }

  #checkCancels(cancelled: ReadonlySet<number>): void {
    for (const [itemId, pipelineId] of this.#account.mustHear) {
      const isStillHeld =
        this.#account.item(itemId).state === "held" && this.#account.up.has(pipelineId);
      if (isStillHeld && !cancelled.has(itemId))
        fail("the pipeline hears of a cancel", `item ${itemId} at ${pipelineId}`);
    }
    this.#account.mustHear.clear();
  }

  #checkDeadlines(nowMs: number): void {
    for (const request of this.#account.due) {
      const { requestId, absent, deadlineAtMs, items } = request;
      if (deadlineAtMs === null || absent || items.every(({ state }) => state === "done"))
        this.#account.due.delete(request);
      else if (deadlineAtMs <= nowMs || this.#wakeAtMs > deadlineAtMs)
        fail("a deadline expires on time", `request ${requestId} is due at ${deadlineAtMs}`);
    }
  }
}
