import type { PolicyName } from "#src/scheduler/policy.js";
import type { SchedulerSnapshot } from "#src/scheduler/snapshot.js";
import type { Batch, Decision, HostSpec, RunMode, SchedulerEvent } from "#src/scheduler/types.js";
import { HostingAccount } from "./hosting-rules.js";
import {
  fail,
  type Item,
  leadingKey,
  type Pipeline,
  type Request,
  sum,
} from "./scheduler-account.js";

export interface CheckOptions {
  readonly policy: PolicyName;
  readonly ageLimitMs: number;
  readonly prefetchRows: number;
  readonly realtimeTargetMs: number;
  readonly loadBackoffMinMs: number;
  readonly loadBackoffMaxMs: number;
}

const windowMsMax = 100;
const seedBatchItems = 64;

/**
 * An independent, slow and simple account of what the scheduler was told and what it decided. It shares no code with
 * the scheduler and checks every promise after every step.
 */
export class Checker {
  readonly #options: CheckOptions;
  readonly #items = new Map<number, Item>();
  readonly #requests = new Map<number, Request>();
  /** The queued among the items, and the requests with a deadline and an item without outcome. */
  readonly #waiting = new Set<Item>();
  readonly #due = new Set<Request>();
  /** A model on a pipeline each, by both names. */
  readonly #pipelines = new Map<string, Pipeline>();
  readonly #modes = new Map<string, RunMode>();
  readonly hosting: HostingAccount;
  #groups: { readonly model: string; readonly items: Item[] }[] = [];
  #sequence = 0;
  #wakeAtMs = Infinity;
  dispatched = 0;

  get items(): number {
    return this.#items.size;
  }

  constructor(options: CheckOptions) {
    this.#options = options;
    this.hosting = new HostingAccount(options, {
      waiting: (model) => this.#waitingFor(model),
      inFlight: (pipelineId, model) => {
        const held = this.#pipelines.get(`${pipelineId} ${model}`)?.batches ?? [];
        return held.reduce((items, each) => items + each.items.size, 0);
      },
    });
  }

  #waitingFor(model: string): Item[] {
    const grouped = this.#groups
      .filter((group) => group.model === model)
      .flatMap(({ items }) => items.filter(({ state }) => state === "grouped"));
    return [...[...this.#waiting].filter(({ request }) => request.model === model), ...grouped];
  }

  /** Told before the step: what the event says by itself. */
  before(event: SchedulerEvent, nowMs: number): void {
    this.hosting.before(event, nowMs);
    switch (event.type) {
      case "request":
        return this.#request(event.request, nowMs);
      case "cancel":
        return this.#absent(this.#requests.get(event.requestId));
      case "model":
        this.#modes.set(event.model.model, event.model.mode);
        return;
      case "pipeline-up":
        this.#up.set(event.pipeline.pipelineId, event.pipeline);
        return;
      case "loaded":
        this.#loaded(event.pipelineId, event.model);
        return;
      case "pipeline-down": {
        this.#up.delete(event.pipelineId);
        for (const pipeline of this.#of(event.pipelineId))
          this.#pipelines.delete(`${event.pipelineId} ${pipeline.spec.model}`);
        for (const item of this.#items.values())
          if (item.state === "held" && item.pipelineId === event.pipelineId)
            this.#set(item, item.request.absent ? "done" : "orphaned");
        return;
      }
      case "settled": {
        const item = this.#item(event.itemId);
        if (item.state === "done") return;
        this.#release(item);
        this.#set(item, "done");
        return;
      }
      case "returned":
        for (const itemId of event.innocent) this.#comesBack(itemId, "queued");
        for (const itemIds of event.groups) {
          const group = itemIds.map((itemId) => this.#comesBack(itemId, "grouped"));
          for (const model of new Set(group.map((item) => item.request.model))) {
            const its = group.filter((item) => item.request.model === model);
            for (const batchKey of new Set(its.map((item) => item.batchKey)))
              this.#groups.push({ model, items: its.filter((item) => item.batchKey === batchKey) });
          }
        }
        return;
      case "measured":
      case "model-gone":
      case "load-failed":
      case "tick":
        return;
    }
  }

  readonly #up = new Map<string, HostSpec>();

  #loaded(pipelineId: string, model: string): void {
    const { kind, rowsMax } = this.#up.get(pipelineId) ?? fail("only what is loaded is fed", model);
    const spec = { pipelineId, model, kind, rowsMax, mode: this.#modes.get(model) ?? "one-shot" };
    const fresh = { spec, batches: [], exclusive: false, lastClass: null };
    this.#pipelines.set(`${pipelineId} ${model}`, fresh);
  }

  /** All that a process hosts. */
  #of(pipelineId: string): Pipeline[] {
    return [...this.#pipelines.values()].filter(({ spec }) => spec.pipelineId === pipelineId);
  }

  after(decisions: readonly Decision[], snapshot: SchedulerSnapshot, nowMs: number): void {
    const cancelled = new Set<number>();
    for (const decision of decisions) {
      this.hosting.after(decision, nowMs);
      switch (decision.type) {
        case "unload":
          this.#pipelines.delete(`${decision.pipelineId} ${decision.model}`);
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
    this.#checkIdle(nowMs);
    this.#checkRecall();
    if (![...this.#pipelines.keys()].some((each) => this.#isReserved(each)))
      this.hosting.checkIdle(nowMs);
    if (this.#wakeAtMs <= nowMs) this.#wakeAtMs = Infinity;
  }

  /** Told when nothing will ever happen again. */
  atEnd(): void {
    for (const item of this.#items.values())
      if (item.state !== "done")
        fail("every item has one outcome", `item ${item.itemId} is ${item.state} for ever`);
  }

  #request(spec: Extract<SchedulerEvent, { type: "request" }>["request"], nowMs: number): void {
    const request: Request = {
      ...spec,
      arrivedMs: nowMs,
      sequence: this.#sequence++,
      items: [],
      absent: false,
    };
    for (const [order, item] of spec.items.toSorted((a, b) => a.width - b.width).entries()) {
      const entry: Item = { ...item, order, request, state: "queued", pipelineId: null };
      request.items.push(entry);
      this.#waiting.add(entry);
      this.#items.set(item.itemId, entry);
    }
    this.#requests.set(spec.requestId, request);
    if (request.deadlineAtMs !== null) this.#due.add(request);
  }

  #set(item: Item, state: Item["state"]): void {
    item.state = state;
    if (state === "queued") this.#waiting.add(item);
    else this.#waiting.delete(item);
  }

  #item(itemId: number): Item {
    const item = this.#items.get(itemId);
    if (item === undefined)
      fail("an item leaves the ledger once, and by its own pipeline", `there is no item ${itemId}`);
    return item;
  }

  /** The caller is gone or late: queued items are over; held ones must be called off in this step. */
  readonly #mustHear = new Map<number, string>();

  #absent(request: Request | undefined): void {
    if (request === undefined || request.absent) return;
    request.absent = true;
    for (const item of request.items) {
      if (item.state === "held" && item.pipelineId !== null)
        this.#mustHear.set(item.itemId, item.pipelineId);
      else this.#set(item, "done");
    }
  }

  #comesBack(itemId: number, state: "queued" | "grouped"): Item {
    const item = this.#item(itemId);
    if (item.state === "done") return item;
    this.#release(item);
    this.#set(item, item.request.absent ? "done" : state);
    return item;
  }

  #abandon({ requestId, itemIds, fault }: Extract<Decision, { type: "abandon" }>): void {
    for (const itemId of itemIds) {
      const item = this.#item(itemId);
      if (item.request.requestId !== requestId || !["queued", "grouped"].includes(item.state))
        fail("every item has one outcome", `item ${itemId} is given up and is ${item.state}`);
      this.hosting.abandoned(item.request.model, fault ?? null);
      this.#set(item, "done");
    }
  }

  /** Whether the process drains for suspects of any model, or runs them. */
  #isReserved(key: string): boolean {
    const [pipelineId = ""] = key.split(" ");
    return this.#of(pipelineId).some((each) => each.exclusive || this.#mayDrain(each.spec.model));
  }

  #release(item: Item): void {
    const pipeline = this.#pipelines.get(`${item.pipelineId} ${item.request.model}`);
    item.pipelineId = null;
    if (pipeline === undefined) return;
    for (const held of pipeline.batches) held.items.delete(item);
    const left = pipeline.batches.filter(({ items }) => items.size > 0);
    pipeline.batches.splice(0, pipeline.batches.length, ...left);
    if (left.length === 0) pipeline.exclusive = false;
  }

  #expire(decision: Extract<Decision, { type: "expire" }>, nowMs: number): void {
    const request = this.#requests.get(decision.requestId);
    const isDue = (request?.deadlineAtMs ?? Infinity) <= nowMs;
    if (request === undefined || !isDue)
      fail("a deadline expires on time", `request ${decision.requestId} is not due`);
    for (const itemId of decision.itemIds) {
      const item = this.#item(itemId);
      if (item.state === "done" || request.absent)
        fail("every item has one outcome", `item ${itemId} expires after its outcome`);
    }
    const open = request.items.filter(({ state }) => state !== "done").length;
    if (open !== decision.itemIds.length)
      fail("every item has one outcome", `${open} items of ${request.requestId} were to expire`);
    this.#absent(request);
  }

  #recall({ pipelineId, itemIds }: Extract<Decision, { type: "recall" }>): void {
    for (const held of this.#of(pipelineId).flatMap(({ batches }) => batches)) {
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
    const pipeline = this.#pipelines.get(`${pipelineId} ${batch.model}`);
    if (pipeline === undefined)
      return fail("only what is loaded is fed", `${batch.model} on ${pipelineId}`);
    this.hosting.fed(pipelineId, batch.model, batch.class);
    const items = batch.spans.flatMap(({ itemIds }) => itemIds.map((itemId) => this.#item(itemId)));
    this.#checkItems(items, batch, at.nowMs);
    if (batch.exclusive) this.#checkExclusive(pipeline, items);
    else this.#checkNormal(pipeline, items, { ...at, batch });
    for (const item of items) {
      this.#set(item, "held");
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
    for (const { requestId, itemIds } of batch.spans) {
      const span = itemIds.map((itemId) => this.#item(itemId));
      const isSorted = span.every(
        (item, at) => at === 0 || (span[at - 1]?.order ?? 0) < item.order,
      );
      if (!isSorted || span.some(({ request }) => request.requestId !== requestId))
        fail("spans take a batch apart", `span of request ${requestId}`);
    }
    if (new Set(items.map(({ batchKey }) => batchKey)).size !== 1)
      fail("a batch has one key", `batch ${batch.batchId}`);
    const widest = Math.max(...items.map(({ width }) => width));
    const padded = items.reduce((total, { units, width }) => total + units * (widest / width), 0);
    const sums = [sum(items, "rows"), sum(items, "units"), padded];
    const said = [batch.rows, batch.units, batch.paddedUnits];
    if (sums.some((each, at) => Math.abs(each - (said[at] ?? 0)) > 1e-9 * each))
      fail("spans take a batch apart", `batch says ${said.join()}, holds ${sums.join()}`);
  }

  #checkExclusive(pipeline: Pipeline, items: readonly Item[]): void {
    const group = this.#groups.find((each) =>
      each.items.includes(items[0] ?? fail("suspects run alone", "nobody")),
    );
    const expected = group?.items.filter(({ state }) => state === "grouped") ?? [];
    const { pipelineId } = pipeline.spec;
    if (this.#of(pipelineId).some(({ batches }) => batches.length > 0))
      fail("suspects run alone", `${pipelineId} is not empty`);
    if (this.hosting.isLoading(pipelineId)) fail("suspects run alone", `${pipelineId} loads`);
    if (expected.length !== items.length || items.some((item) => !expected.includes(item)))
      fail("suspects run alone", "a group is sent in pieces or with others");
    this.#groups = this.#groups.filter((each) => each !== group);
  }

  #checkNormal(
    pipeline: Pipeline,
    items: readonly Item[],
    at: { batch: Batch; snapshot: SchedulerSnapshot },
  ): void {
    const { spec, batches } = pipeline;
    const { batch } = at;
    if (this.#of(spec.pipelineId).some(({ exclusive }) => exclusive))
      fail("suspects run alone", `${spec.pipelineId} gets company`);
    if (this.hosting.isLoading(spec.pipelineId))
      fail("only what is loaded is fed", `${spec.pipelineId} loads`);
    for (const { request } of items) {
      if (request.model !== spec.model || !this.#serves(pipeline, request.class))
        fail("a pipeline serves its kind", `${spec.kind} got ${request.class} of ${request.model}`);
      if (request.class !== batch.class)
        fail("a pipeline serves its kind", "a batch of two classes");
    }
    const batchesMax = this.#options.policy === "seed-router" ? 1 : 2;
    const isBounded = spec.mode === "one-shot" || this.#options.policy === "seed-router";
    if (isBounded && batches.length >= batchesMax)
      fail("a pipeline holds no more batches than allowed", spec.pipelineId);
    const isAlone = items.length === 1;
    const room = spec.mode === "one-shot" ? spec.rowsMax : this.#roomMost(pipeline, batch.class);
    const isOversize =
      isAlone && (spec.mode === "one-shot" || this.#rows(pipeline, batch.class) === 0);
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

  /** Called when the batch has left the queue: what is queued now was passed over. */
  #checkOrder(
    pipeline: Pipeline,
    items: readonly Item[],
    at: { batch: Batch; nowMs: number },
  ): void {
    const { batch, nowMs } = at;
    const youngest = Math.max(...items.map(({ request }) => request.sequence));
    const passedOver = this.#queued(pipeline).filter(({ request }) => request.sequence < youngest);
    const { policy } = this.#options;
    if (policy === "fcfs" && passedOver.length > 0)
      fail("first come is first served", `item ${passedOver[0]?.itemId} was passed over`);
    if (policy !== "millrace") return;
    // Who shares the key of an older one may ride along with it, past those of other keys.
    const eldest = Math.min(...items.map(({ request }) => request.sequence));
    const aged = passedOver.find(
      ({ request, batchKey }) =>
        request.class === batch.class &&
        this.#isAged(request, nowMs) &&
        (batchKey === items[0]?.batchKey || request.sequence < eldest),
    );
    if (aged !== undefined)
      fail("older than the age limit goes first", `item ${aged.itemId} was passed over`);
    if (pipeline.spec.mode !== "one-shot") return;
    const queued = this.#queued(pipeline);
    const hasAgedBulk = queued.some(
      ({ request }) => request.class === "bulk" && this.#isAged(request, nowMs),
    );
    if (batch.class === "realtime" && pipeline.lastClass === "realtime" && hasAgedBulk)
      fail("aged bulk takes turns with realtime", "two realtime batches in a row");
    const hasRealtime = queued.some(({ request }) => request.class === "realtime");
    if (batch.class === "bulk" && hasRealtime && batch.reason !== "aged")
      fail("realtime goes before bulk", `batch ${batch.batchId}`);
  }

  #checkCancels(cancelled: ReadonlySet<number>): void {
    for (const [itemId, pipelineId] of this.#mustHear) {
      const isStillHeld = this.#item(itemId).state === "held" && this.#up.has(pipelineId);
      if (isStillHeld && !cancelled.has(itemId))
        fail("the pipeline hears of a cancel", `item ${itemId} at ${pipelineId}`);
    }
    this.#mustHear.clear();
  }

  #checkDeadlines(nowMs: number): void {
    for (const request of this.#due) {
      const { requestId, absent, deadlineAtMs, items } = request;
      if (deadlineAtMs === null || absent || items.every(({ state }) => state === "done"))
        this.#due.delete(request);
      else if (deadlineAtMs <= nowMs || this.#wakeAtMs > deadlineAtMs)
        fail("a deadline expires on time", `request ${requestId} is due at ${deadlineAtMs}`);
    }
  }

  #checkIdle(nowMs: number): void {
    for (const pipeline of this.#pipelines.values()) {
      const { spec, batches } = pipeline;
      if (this.#waiting.size === 0) return;
      if (this.#isReserved(`${spec.pipelineId} `) || this.#isLeaving(pipeline)) continue;
      const isFree = spec.mode === "continuous" || batches.length === 0;
      if (!isFree) continue;
      const queued = this.#queued(pipeline);
      const head = queued[0];
      if (head === undefined) continue;
      if (this.#options.policy === "seed-router") {
        if (batches.length > 0) continue;
        for (const each of ["realtime", "bulk"] as const) {
          const waiting = queued.filter(({ request }) => request.class === each);
          const key = leadingKey(waiting[0]?.request);
          if (waiting.filter(({ batchKey }) => batchKey === key).length >= seedBatchItems)
            fail("no free pipeline beside a queue", `${spec.pipelineId} at ${nowMs}`);
          if (nowMs - (waiting[0]?.request.arrivedMs ?? nowMs) >= windowMsMax)
            fail("a window is bounded", `${each} at ${spec.pipelineId}`);
        }
      } else if (spec.mode === "one-shot") {
        if (batches.length === 0) this.#checkWindow(queued, nowMs);
      } else this.#checkRoom(pipeline, queued);
    }
  }

  /** An idle one-shot pipeline beside a queue: only inside a window, which has an end. */
  #checkWindow(queued: readonly Item[], nowMs: number): void {
    if (this.#options.policy === "fcfs" || this.#wakeAtMs === Infinity)
      fail("no free pipeline beside a queue", `${queued.length} items wait at ${nowMs}`);
    const inWindow = (["realtime", "bulk"] as const).some((each) => {
      const head = queued.find(({ request }) => request.class === each);
      return head !== undefined && nowMs - head.request.arrivedMs < windowMsMax;
    });
    if (!inWindow)
      fail("a window is bounded", `the oldest waits since ${queued[0]?.request.arrivedMs}`);
  }

  #checkRoom(pipeline: Pipeline, queued: readonly Item[]): void {
    for (const each of ["realtime", "bulk"] as const) {
      const waiting = queued.filter(({ request }) => request.class === each);
      const isHead = this.#options.policy === "millrace" || queued[0]?.request.class === each;
      if (waiting.length === 0 || !isHead) continue;
      const most = Math.max(...waiting.map(({ rows }) => rows));
      const { rowsMax } = pipeline.spec;
      const left = rowsMax + this.#options.prefetchRows - this.#rows(pipeline);
      // Places beyond those that run are refilled when half of them are empty.
      const waits = each === "bulk" && 2 * left < this.#options.prefetchRows;
      const common = waits ? 0 : left;
      const own = each === "realtime" ? rowsMax - this.#rows(pipeline, "realtime") : 0;
      if (Math.max(common, own) >= most)
        fail("no free pipeline beside a queue", `${pipeline.spec.pipelineId} has room for ${each}`);
    }
  }

  #checkRecall(): void {
    if (this.#options.policy !== "millrace" || this.#waiting.size === 0) return;
    const models = new Set([...this.#pipelines.values()].map(({ spec }) => spec.model));
    for (const model of models) {
      if (this.#mayDrain(model)) continue;
      const able = [...this.#pipelines.values()].filter(
        (each) =>
          each.spec.model === model &&
          !this.#isReserved(`${each.spec.pipelineId} `) &&
          !this.#isLeaving(each) &&
          this.#queued(each).some(({ request }) => request.class === "realtime"),
      );
      if (
        able.some(
          ({ spec, batches }) =>
            spec.mode !== "one-shot" || batches[1] === undefined || batches[1].recalled,
        )
      )
        continue;
      const missed = able.find(
        ({ batches }) => batches[1]?.batch.class === "bulk" && batches[1].batch.reason !== "aged",
      );
      if (missed !== undefined)
        fail("waiting bulk is recalled for realtime", missed.spec.pipelineId);
    }
  }

  /** It loads, or what waits for other models may be why it drains. */
  #isLeaving({ spec, batches }: Pipeline): boolean {
    if (this.hosting.isLoading(spec.pipelineId)) return true;
    return batches.length > 0 && this.hosting.isContested(spec.pipelineId);
  }

  /** Whether a group of suspects waits or runs, so that one pipeline of the model is kept free for it. */
  #mayDrain(model: string): boolean {
    return this.#groups.some(
      (group) => group.model === model && group.items.some(({ state }) => state === "grouped"),
    );
  }

  #serves({ spec }: Pipeline, workClass: "realtime" | "bulk"): boolean {
    const meant = [...this.#pipelines.values()].some(
      (each) =>
        each.spec.model === spec.model &&
        (each.spec.kind === "shared" || each.spec.kind === workClass),
    );
    return !meant || spec.kind === "shared" || spec.kind === workClass;
  }

  /** Queued items that the pipeline may serve, in order of arrival. */
  #queued(pipeline: Pipeline): Item[] {
    if (this.#waiting.size === 0) return [];
    const serves = {
      realtime: this.#serves(pipeline, "realtime"),
      bulk: this.#serves(pipeline, "bulk"),
    };
    const queued: Item[] = [];
    for (const item of this.#waiting)
      if (item.request.model === pipeline.spec.model && serves[item.request.class])
        queued.push(item);
    return queued.sort((a, b) => a.request.sequence - b.request.sequence);
  }

  #isAged(request: Request, nowMs: number): boolean {
    return nowMs - request.arrivedMs > this.#options.ageLimitMs;
  }

  #rows(pipeline: Pipeline, workClass: "realtime" | "bulk" | null = null): number {
    let rows = 0;
    for (const { items } of pipeline.batches)
      for (const item of items)
        if (workClass === null || item.request.class === workClass) rows += item.rows;
    return rows;
  }

  /** The most that any rule allows a generation pipeline to be sent of a class. */
  #roomMost(pipeline: Pipeline, workClass: "realtime" | "bulk"): number {
    const most = pipeline.spec.rowsMax + this.#options.prefetchRows;
    const room = most - this.#rows(pipeline, workClass);
    return workClass === "realtime"
      ? Math.min(room, most + pipeline.spec.rowsMax - this.#rows(pipeline))
      : room;
  }
}
