/**
 * A server without processes and without models, on a virtual clock: the product's door, scheduler and engines' choosing, with pipelines whose
 * runs take what was recorded.
 *
 *   arrive ─► admission ── prepareMs ─► deadline ─► scheduler ─► pipelines ─► ended
 *                └─ refused               └─ refused    └─ expired
 */
import { type ErrorCode, MillraceError, type PipelineKind } from "millrace-client/wire";
import { estimateQueue, type QueueEstimate } from "../nats/queue-estimate.js";
import type { PolicyName } from "../scheduler/policy.js";
import { engineClassOf } from "../scheduler/rank.js";
import type { Batch, Decision, ItemSpec } from "../scheduler/types.js";
import { ClockedScheduler } from "../simulation/clocked-scheduler.js";
import type { SimulatedItem } from "../simulation/simulated-engine.js";
import type { VirtualClock } from "../simulation/virtual-clock.js";
import { Admission } from "../submit/admission.js";
import { deadlineRefusal } from "../submit/local/deadline-refusal.js";
import { itemCountOf } from "./call-parts.js";
import type { PlannedModel } from "./planned-models.js";
import type { RecordedCall, RecordedLoad } from "./recorded-load.js";
import { SimulatedPipeline } from "./simulated-pipeline.js";

export interface ServerShape {
  readonly policy: PolicyName;
  readonly pipelines: readonly PlannedPipeline[];
  readonly betweenMs: number;
  /** How many times as long runs take while so many pipelines run, at this time of the recording. */
  readonly stretchOf: (running: number, atMs: number) => number;
}

export interface PlannedPipeline {
  readonly kind: PipelineKind;
  readonly modelMemoryBytesMax: number;
  /** Models that it has from the beginning. */
  readonly resident: readonly string[];
}

export interface SimulatedServerParts {
  readonly clock: VirtualClock;
  readonly load: RecordedLoad;
  readonly models: readonly PlannedModel[];
  readonly shape: ServerShape;
  /** Of the recording, now. */
  readonly recordedMs: () => number;
  /** A model came to a pipeline, or went. */
  readonly onResidence?: () => void;
}

export type CallError = Pick<MillraceError, "code" | "retryAfterMs">;

/** What becomes of a call. */
export interface CallEvents {
  /** Of one of its items; before its end. */
  readonly onItem?: () => void;
  /** Once; null: it was answered. */
  readonly onEnd: (error: CallError | null, wasLetIn: boolean) => void;
}

/** Whatever takes calls: a server, or an edge before several. */
export interface CallTaker {
  arrive(call: RecordedCall, events: CallEvents): void;
  /** With runs and between them, of all pipelines. */
  readonly busyMs: number;
}

/** As submit queues a request. */
const sliceItems = 4_096;
/** Before the first request: what is resident is loaded in no time. */
const warmUpMs = 1;

class OpenCall {
  left: number;
  readonly requestIds: number[] = [];
  readonly model: string;
  readonly inputsOfItem: number;
  readonly onItem: () => void;
  readonly #onEnd: (error: CallError | null) => void;
  isOver = false;

  constructor(call: RecordedCall, { onItem = () => {}, onEnd }: CallEvents) {
    this.left = itemCountOf(call);
    this.model = call.model;
    this.inputsOfItem = call.inputs / Math.max(1, this.left);
    this.onItem = onItem;
    this.#onEnd = (error) => onEnd(error, true);
  }

  end(error: CallError | null): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#onEnd(error);
  }
}

/** Of a model, so far. */
interface ModelDeeds {
  /** With its runs, as they were reported. */
  ms: number;
  inputs: number;
  /** Pipelines that have it now. */
  on: number;
}

interface OpenItem {
  readonly call: OpenCall;
  readonly item: SimulatedItem;
}

export class SimulatedServer implements CallTaker {
  readonly #parts: SimulatedServerParts;
  readonly #scheduler: ClockedScheduler;
  readonly #admission: Admission;
  readonly #pipelines = new Map<string, SimulatedPipeline>();
  readonly #models: ReadonlyMap<string, PlannedModel>;
  readonly #items = new Map<number, OpenItem>();
  readonly #requests = new Map<number, OpenCall>();
  /** Models that each pipeline has in no time, because it had them. */
  readonly #resident = new Map<string, Set<string>>();
  readonly #did = new Map<string, ModelDeeds>();
  #nextId = 0;

  constructor(parts: SimulatedServerParts) {
    const { clock, load, models, shape } = parts;
    this.#parts = parts;
    this.#models = new Map(models.map((each) => [each.spec.model, each]));
    for (const { spec, done } of models) this.#did.set(spec.model, { ...done, on: 0 });
    const { realtimeTargetMs, ageLimitMs, prefetchRows } = load.head.options;
    const { queuedItemsMax, queuedBytesMax } = load.head.options;
    this.#admission = new Admission({ queuedItemsMax, queuedBytesMax }, clock);
    this.#scheduler = new ClockedScheduler(
      { policy: shape.policy, realtimeTargetMs, ageLimitMs, prefetchRows },
      { clock, onDecision: (decision) => this.#carryOut(decision) },
    );
    for (const { spec } of models) this.#scheduler.step({ type: "model", model: spec });
    for (const [at, pipeline] of shape.pipelines.entries()) this.#up(`p${at}`, pipeline);
    for (const { spec, reports } of models) {
      for (const { stage, runs, paddedUnits, ms } of reports)
        this.#scheduler.step({ type: "measured", model: spec.model, stage, runs, paddedUnits, ms });
    }
  }

  /** As a node looks at itself, to say how soon it would take something. */
  get estimate(): QueueEstimate {
    const did = [...this.#did].map(([model, deeds]) => ({ model, ...deeds }));
    const pipelines = [...this.#pipelines.values()].map(({ seen }) => seen);
    return estimateQueue({ pipelines, queues: this.#scheduler.queues, stages: did }, did);
  }

  /** Until some pipeline has the model; 0: one has it. */
  loadMsOf(model: string): number {
    const isResident = this.#deedsOf(model).on > 0;
    return isResident ? 0 : (this.#models.get(model)?.loadMs ?? 0);
  }

  get busyMs(): number {
    let ms = 0;
    for (const pipeline of this.#pipelines.values()) ms += pipeline.busyMs;
    return ms;
  }

  arrive(call: RecordedCall, events: CallEvents): void {
    const { clock } = this.#parts;
    const arrivedAtMs = clock.now();
    let ticket: ReturnType<Admission["admit"]>;
    try {
      ticket = this.#admission.admit({ items: call.inputs, bytes: call.bytes });
    } catch (error) {
      return events.onEnd(callErrorOf(error), false);
    }
    clock.at(arrivedAtMs + call.prepareMs, () => {
      const deadlineAtMs = call.deadlineMs === null ? null : arrivedAtMs + call.deadlineMs;
      const rows = call.items.reduce((sum, [, , each, count]) => sum + each * count, 0);
      try {
        ticket.take(itemCountOf(call), call.itemBytes);
        ticket.prepared();
        this.#refuseTooSoon(call, { rows, deadlineAtMs });
      } catch (error) {
        ticket.release();
        return events.onEnd(callErrorOf(error), false);
      }
      const onEnd: CallEvents["onEnd"] = (error, wasLetIn) => {
        ticket.release();
        events.onEnd(error, wasLetIn);
      };
      this.#queue(call, deadlineAtMs, { ...events, onEnd });
    });
  }

  #up(pipelineId: string, { kind, modelMemoryBytesMax, resident }: PlannedPipeline): void {
    const { clock, shape, recordedMs } = this.#parts;
    const times = {
      betweenMs: shape.betweenMs,
      stretch: () => shape.stretchOf(this.#running, recordedMs()),
    };
    const pipeline = new SimulatedPipeline(
      clock,
      {
        onEnded: (itemIds) => this.#ended(pipelineId, itemIds),
        onMeasured: (model, stages) => {
          for (const { stage, runs, paddedUnits, ms } of stages) {
            this.#deedsOf(model).ms += ms;
            this.#scheduler.step({ type: "measured", model, stage, runs, paddedUnits, ms });
          }
        },
      },
      times,
    );
    this.#pipelines.set(pipelineId, pipeline);
    this.#resident.set(pipelineId, new Set(resident));
    const host = { pipelineId, kind, modelMemoryBytesMax };
    this.#scheduler.step({ type: "pipeline-up", pipeline: host });
  }

  get #running(): number {
    let running = 0;
    for (const { isRunning } of this.#pipelines.values()) if (isRunning) running += 1;
    return running;
  }

  #refuseTooSoon(
    { isDeadlineNamed, model, class: workClass }: RecordedCall,
    { rows, deadlineAtMs }: { readonly rows: number; readonly deadlineAtMs: number | null },
  ): void {
    if (!isDeadlineNamed || deadlineAtMs === null || rows === 0) return;
    const waitMs = this.#scheduler.leastWaitMs({ model, class: workClass, rows, deadlineAtMs });
    const leftMs = deadlineAtMs - this.#parts.clock.now();
    const refusal = deadlineRefusal({ waitMs, leftMs });
    if (refusal !== null) throw refusal;
  }

  #queue(call: RecordedCall, deadlineAtMs: number | null, events: CallEvents): void {
    const planned = this.#models.get(call.model);
    if (planned === undefined) throw new Error(`${call.model} is not planned with`);
    const open = new OpenCall(call, events);
    if (open.left === 0) return open.end(null);
    let slice: ItemSpec[] = [];
    const send = (): void => {
      const requestId = this.#nextId++;
      open.requestIds.push(requestId);
      this.#requests.set(requestId, open);
      const { model, class: workClass, tenant } = call;
      const request = { requestId, model, class: workClass, tenant, deadlineAtMs, items: slice };
      slice = [];
      this.#scheduler.step({ type: "request", request });
    };
    for (const [units, width, rows, count, batchKey = ""] of call.items) {
      const cost = planned.costOf({ units, width, rows });
      for (let nth = 0; nth < count; nth += 1) {
        const itemId = this.#nextId++;
        this.#items.set(itemId, { call: open, item: { itemId, cost } });
        slice.push({ itemId, units, width, rows, bytes: 1, batchKey });
        if (slice.length === sliceItems) send();
      }
    }
    if (slice.length > 0) send();
  }

  #carryOut(decision: Decision): void {
    const { clock } = this.#parts;
    // What follows of a decision comes behind the step that made it.
    const later = (action: () => void): void => void clock.at(clock.now(), action);
    switch (decision.type) {
      case "dispatch":
        return this.#dispatch(decision.pipelineId, decision.batch);
      case "load":
        return this.#load(decision);
      case "unload":
        return this.#unload(decision);
      case "cancel": {
        const { pipelineId, itemIds } = decision;
        this.#pipeline(pipelineId).cancel(itemIds);
        return later(() => this.#settle(pipelineId, itemIds));
      }
      case "recall": {
        const { pipelineId } = decision;
        const innocent = this.#pipeline(pipelineId).recall(decision.itemIds);
        if (innocent.length === 0) return;
        return later(() =>
          this.#scheduler.step({ type: "returned", pipelineId, innocent, groups: [] }),
        );
      }
      case "expire":
        return this.#drop(decision, "deadline_exceeded", later);
      case "abandon":
        return this.#drop(decision, "not_ready", later);
      case "hold":
      case "wake":
    }
  }

  #load({ pipelineId, model, rowsMax }: Extract<Decision, { readonly type: "load" }>): void {
    const planned = this.#models.get(model);
    if (planned === undefined) throw new Error(`${model} is not planned with`);
    const wasThere = this.#resident.get(pipelineId)?.delete(model) === true;
    const ms = wasThere ? warmUpMs : planned.loadMs;
    const { bytes } = planned.spec;
    this.#pipeline(pipelineId).load(planned, { rowsMax, ms }, () => {
      this.#moved(model, 1);
      this.#scheduler.step({ type: "loaded", pipelineId, model, bytes, ms: planned.loadMs });
    });
  }

  #unload({ pipelineId, model }: { readonly pipelineId: string; readonly model: string }): void {
    this.#pipeline(pipelineId).unload(model);
    this.#moved(model, -1);
  }

  #moved(model: string, change: number): void {
    this.#deedsOf(model).on += change;
    this.#parts.onResidence?.();
  }

  #dispatch(pipelineId: string, batch: Batch): void {
    const items = batch.segments.flatMap(({ itemIds }) =>
      itemIds.flatMap((itemId) => this.#items.get(itemId)?.item ?? []),
    );
    const { batchId, model } = batch;
    this.#pipeline(pipelineId).add({ batchId, model, class: engineClassOf(batch) }, items);
  }

  #ended(pipelineId: string, itemIds: readonly number[]): void {
    for (const itemId of itemIds) {
      const open = this.#items.get(itemId);
      this.#items.delete(itemId);
      this.#scheduler.step({ type: "settled", pipelineId, itemId });
      if (open === undefined) continue;
      this.#deedsOf(open.call.model).inputs += open.call.inputsOfItem;
      open.call.onItem();
      open.call.left -= 1;
      if (open.call.left === 0) this.#over(open.call, null);
    }
  }

  #settle(pipelineId: string, itemIds: readonly number[]): void {
    for (const itemId of itemIds) this.#scheduler.step({ type: "settled", pipelineId, itemId });
  }

  /** The whole request fails: what its other slices hold is dropped. */
  #drop(
    { requestId }: { readonly requestId: number },
    code: ErrorCode,
    later: (action: () => void) => void,
  ): void {
    const call = this.#requests.get(requestId);
    if (call === undefined) return;
    later(() => {
      for (const id of call.requestIds) this.#scheduler.step({ type: "cancel", requestId: id });
      this.#over(call, new MillraceError(code, code));
    });
  }

  #over(call: OpenCall, error: CallError | null): void {
    for (const id of call.requestIds) this.#requests.delete(id);
    call.end(error);
  }

  #deedsOf(model: string): ModelDeeds {
    const deeds = this.#did.get(model);
    if (deeds === undefined) throw new Error(`${model} is not planned with`);
    return deeds;
  }

  #pipeline(pipelineId: string): SimulatedPipeline {
    const pipeline = this.#pipelines.get(pipelineId);
    if (pipeline === undefined) throw new Error(`there is no pipeline ${pipelineId}`);
    return pipeline;
  }
}

export function callErrorOf(error: unknown): CallError {
  if (error instanceof MillraceError) return error;
  throw error;
}
