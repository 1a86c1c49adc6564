/** What the scheduler was told, and what its decisions made of it: who waits, who is held by whom, and who may be. */
import type { PolicyName } from "#src/scheduler/policy.js";
import type { Rank } from "#src/scheduler/rank.js";
import type {
  Batch,
  HostSpec,
  ModelSpec,
  PipelineCapacity,
  RequestSpec,
  SchedulerEvent,
} from "#src/scheduler/types.js";
import { type Rule, Violation } from "./rules.js";

export interface Item {
  readonly itemId: number;
  readonly units: number;
  readonly width: number;
  readonly rows: number;
  readonly batchKey: string;
  readonly order: number;
  readonly request: Request;
  state: "queued" | "held" | "orphaned" | "grouped" | "done";
  pipelineId: string | null;
}

export interface Request {
  readonly requestId: number;
  readonly model: string;
  readonly class: "realtime" | "bulk";
  readonly rank: Rank;
  readonly arrivedMs: number;
  readonly sequence: number;
  readonly deadlineAtMs: number | null;
  readonly items: Item[];
  absent: boolean;
}

/** A model on a pipeline. */
export interface Pipeline {
  readonly spec: PipelineCapacity;
  /** In the order of dispatch. */
  readonly batches: { items: Set<Item>; batch: Batch; recalled: boolean }[];
  exclusive: boolean;
  lastClass: "realtime" | "bulk" | null;
}

/** The key of the queued items whose widest, queued or not, is the widest of its request. */
export function leadingKey(request: Request | undefined): string | undefined {
  const queued = new Set(
    request?.items.flatMap(({ state, batchKey }) => (state === "queued" ? [batchKey] : [])),
  );
  return request?.items.findLast(({ batchKey }) => queued.has(batchKey))?.batchKey;
}

/** By which the seeds' router takes turns, least first: ten milliseconds for each item. */
export function weightOf({ arrivedMs, items }: Request): number {
  return arrivedMs + 10 * items.length;
}

export function sum(items: readonly Item[], of: "rows" | "units"): number {
  return items.reduce((total, item) => total + item[of], 0);
}

export function fail(rule: Rule, message: string): never {
  throw new Violation(rule, message);
}

export interface CheckOptions {
  readonly policy: PolicyName;
  readonly ageLimitMs: number;
  readonly prefetchRows: number;
  readonly realtimeTargetMs: number;
  readonly loadBackoffMinMs: number;
  readonly loadBackoffMaxMs: number;
}

export class SchedulerAccount {
  readonly #options: CheckOptions;
  readonly items: Map<number, Item> = new Map();
  readonly requests: Map<number, Request> = new Map();
  /** The queued among the items, and the requests with a deadline and an item without outcome. */
  readonly waiting: Set<Item> = new Set();
  readonly due: Set<Request> = new Set();
  /** A model on a pipeline each, by both names. */
  readonly pipelines: Map<string, Pipeline> = new Map();
  readonly up: Map<string, HostSpec> = new Map();
  /** Held items whose caller is gone or late, and who holds them: they must be called off in this step. */
  readonly mustHear: Map<number, string> = new Map();
  readonly #specs = new Map<string, ModelSpec>();
  groups: { readonly model: string; readonly items: Item[] }[] = [];
  #sequence = 0;

  constructor(options: CheckOptions) {
    this.#options = options;
  }

  /** What the event says by itself. */
  told(event: SchedulerEvent, nowMs: number): void {
    switch (event.type) {
      case "request":
        return this.#request(event.request, nowMs);
      case "cancel":
        return this.absent(this.requests.get(event.requestId));
      case "model":
        this.#specs.set(event.model.model, event.model);
        return;
      case "pipeline-up":
        this.up.set(event.pipeline.pipelineId, event.pipeline);
        return;
      case "loaded":
        this.#loaded(event.pipelineId, event.model);
        return;
      case "pipeline-down": {
        this.up.delete(event.pipelineId);
        for (const pipeline of this.hostedBy(event.pipelineId))
          this.pipelines.delete(`${event.pipelineId} ${pipeline.spec.model}`);
        for (const item of this.items.values())
          if (item.state === "held" && item.pipelineId === event.pipelineId)
            this.set(item, item.request.absent ? "done" : "orphaned");
        return;
      }
      case "settled": {
        const item = this.item(event.itemId);
        if (item.state === "done") return;
        this.#release(item);
        this.set(item, "done");
        return;
      }
      case "returned":
        for (const itemId of event.innocent) this.#comesBack(itemId, "queued");
        for (const itemIds of event.groups) {
          const group = itemIds.map((itemId) => this.#comesBack(itemId, "grouped"));
          for (const model of new Set(group.map((item) => item.request.model))) {
            const its = group.filter((item) => item.request.model === model);
            for (const batchKey of new Set(its.map((item) => item.batchKey)))
              this.groups.push({ model, items: its.filter((item) => item.batchKey === batchKey) });
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

  #loaded(pipelineId: string, model: string): void {
    const { kind } = this.up.get(pipelineId) ?? fail("only what is loaded is fed", model);
    const { mode, rowsMax } = this.#specs.get(model) ?? fail("only what is loaded is fed", model);
    const spec = { pipelineId, model, kind, rowsMax, mode };
    const fresh = { spec, batches: [], exclusive: false, lastClass: null };
    this.pipelines.set(`${pipelineId} ${model}`, fresh);
  }

  #request(spec: Extract<SchedulerEvent, { type: "request" }>["request"], nowMs: number): void {
    const request: Request = {
      ...spec,
      rank: this.rankOf(spec),
      arrivedMs: nowMs,
      sequence: this.#sequence++,
      items: [],
      absent: false,
    };
    for (const [order, item] of spec.items.toSorted((a, b) => a.width - b.width).entries()) {
      const entry: Item = { ...item, order, request, state: "queued", pipelineId: null };
      request.items.push(entry);
      this.waiting.add(entry);
      this.items.set(item.itemId, entry);
    }
    this.requests.set(spec.requestId, request);
    if (request.deadlineAtMs !== null) this.due.add(request);
  }

  rankOf({
    model,
    class: its,
    items,
  }: Pick<RequestSpec, "model" | "class"> & {
    readonly items: readonly Pick<Item, "rows">[];
  }): Rank {
    if (its === "bulk") return "bulk";
    const { mode, rowsMax = Infinity } = this.#specs.get(model) ?? {};
    const isFedByRows = this.#options.policy === "millrace" && mode === "continuous";
    const rows = items.reduce((total, item) => total + item.rows, 0);
    return isFedByRows && rowsMax > 1 && 2 * rows > rowsMax ? "large" : "small";
  }

  absent(request: Request | undefined): void {
    if (request === undefined || request.absent) return;
    request.absent = true;
    for (const item of request.items) {
      if (item.state === "held" && item.pipelineId !== null)
        this.mustHear.set(item.itemId, item.pipelineId);
      else this.set(item, "done");
    }
  }

  #comesBack(itemId: number, state: "queued" | "grouped"): Item {
    const item = this.item(itemId);
    if (item.state === "done") return item;
    this.#release(item);
    this.set(item, item.request.absent ? "done" : state);
    return item;
  }

  inFlight(pipelineId: string, model: string): number {
    const held = this.pipelines.get(`${pipelineId} ${model}`)?.batches ?? [];
    return held.reduce((items, each) => items + each.items.size, 0);
  }

  waitingFor(model: string): Item[] {
    const grouped = this.groups
      .filter((group) => group.model === model)
      .flatMap(({ items }) => items.filter(({ state }) => state === "grouped"));
    return [...[...this.waiting].filter(({ request }) => request.model === model), ...grouped];
  }

  /** All that a process hosts. */
  hostedBy(pipelineId: string): Pipeline[] {
    return [...this.pipelines.values()].filter(({ spec }) => spec.pipelineId === pipelineId);
  }

  set(item: Item, state: Item["state"]): void {
    item.state = state;
    if (state === "queued") this.waiting.add(item);
    else this.waiting.delete(item);
  }

  item(itemId: number): Item {
    const item = this.items.get(itemId);
    if (item === undefined)
      fail("an item leaves the ledger once, and by its own pipeline", `there is no item ${itemId}`);
    return item;
  }

  /** Whether the process drains for suspects of any model, or runs them. */
  isReserved(pipelineId: string): boolean {
    return this.hostedBy(pipelineId).some(
      (each) => each.exclusive || this.mayDrain(each.spec.model),
    );
  }

  #release(item: Item): void {
    const pipeline = this.pipelines.get(`${item.pipelineId} ${item.request.model}`);
    item.pipelineId = null;
    if (pipeline === undefined) return;
    for (const held of pipeline.batches) held.items.delete(item);
    const left = pipeline.batches.filter(({ items }) => items.size > 0);
    pipeline.batches.splice(0, pipeline.batches.length, ...left);
    if (left.length === 0) pipeline.exclusive = false;
  }

  /** Whether a group of suspects waits or runs, so that one pipeline of the model is kept free for it. */
  mayDrain(model: string): boolean {
    return this.groups.some(
      (group) => group.model === model && group.items.some(({ state }) => state === "grouped"),
    );
  }

  serves({ spec }: Pipeline, workClass: "realtime" | "bulk"): boolean {
    const meant = [...this.pipelines.values()].some(
      (each) =>
        each.spec.model === spec.model &&
        (each.spec.kind === "shared" || each.spec.kind === workClass),
    );
    return !meant || spec.kind === "shared" || spec.kind === workClass;
  }

  /** Queued items that the pipeline may serve, in order of arrival. */
  queued(pipeline: Pipeline): Item[] {
    if (this.waiting.size === 0) return [];
    const serves = {
      realtime: this.serves(pipeline, "realtime"),
      bulk: this.serves(pipeline, "bulk"),
    };
    const queued: Item[] = [];
    for (const item of this.waiting)
      if (item.request.model === pipeline.spec.model && serves[item.request.class])
        queued.push(item);
    return queued.sort((a, b) => a.request.sequence - b.request.sequence);
  }

  isAged(request: Request, nowMs: number): boolean {
    return nowMs - request.arrivedMs > this.#options.ageLimitMs;
  }

  rows(pipeline: Pipeline, rank: Rank | null = null): number {
    let rows = 0;
    for (const { items } of pipeline.batches)
      for (const item of items) if (rank === null || item.request.rank === rank) rows += item.rows;
    return rows;
  }

  /** The most that any rule allows a generation pipeline to be sent of a rank. */
  roomMost(pipeline: Pipeline, rank: Rank): number {
    const { rowsMax } = pipeline.spec;
    const most = rowsMax + this.#options.prefetchRows;
    const own = this.rows(pipeline, rank);
    return rank === "small" ? Math.max(most - this.rows(pipeline), rowsMax - own) : most - own;
  }

  /** Whether the process holds bulk of any model. */
  holdsBulk(pipelineId: string): boolean {
    return this.hostedBy(pipelineId).some(({ batches }) =>
      batches.some(({ items }) => [...items].some(({ request }) => request.class === "bulk")),
    );
  }
}
