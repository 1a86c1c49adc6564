/**
 * A server without processes and without models, on a made clock: the product's door, scheduler and engines' choosing, with pipelines whose
 * runs take what was recorded.
 *
 *   arrive ─► admission ── prepareMs ─► deadline ─► scheduler ─► pipelines ─► ended
 *                └─ refused               └─ refused    └─ expired
 */
import { MillraceError, type PipelineKind } from "millrace-client/wire";
import type { PolicyName } from "../scheduler/policy.js";
import { engineClassOf } from "../scheduler/rank.js";
import type { Batch, Decision, ItemSpec } from "../scheduler/types.js";
import { ClockedScheduler } from "../simulation/clocked-scheduler.js";
import type { MadeItem } from "../simulation/made-engine.js";
import type { VirtualClock } from "../simulation/virtual-clock.js";
import { Admission } from "../submit/admission.js";
import { deadlineRefusal } from "../submit/local/deadline-refusal.js";
import { MadePipeline } from "./made-pipeline.js";
import type { PlannedModel } from "./planned-models.js";
import type { RecordedCall, RecordedLoad } from "./recorded-load.js";

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

export interface MadeServerParts {
  readonly clock: VirtualClock;
  readonly load: RecordedLoad;
  readonly models: readonly PlannedModel[];
  readonly shape: ServerShape;
  /** Of the recording, now. */
  readonly recordedMs: () => number;
}

/** How a call ended; null: it was answered. */
export type OnEnd = (code: string | null, wasLetIn: boolean) => void;

/** As submit queues a request. */
const sliceItems = 4_096;
/** Before the first request: what is resident is loaded in no time. */
const warmUpMs = 1;

class OpenCall {
  left: number;
  readonly requestIds: number[] = [];
  readonly onEnd: (code: string | null) => void;
  isOver = false;

  constructor(items: number, onEnd: (code: string | null) => void) {
    this.left = items;
    this.onEnd = onEnd;
  }

  end(code: string | null): void {
    if (this.isOver) return;
    this.isOver = true;
    this.onEnd(code);
  }
}

interface OpenItem {
  readonly call: OpenCall;
  readonly item: MadeItem;
}

export class MadeServer {
  readonly #parts: MadeServerParts;
  readonly #scheduler: ClockedScheduler;
  readonly #admission: Admission;
  readonly #pipelines = new Map<string, MadePipeline>();
  readonly #models: ReadonlyMap<string, PlannedModel>;
  readonly #items = new Map<number, OpenItem>();
  readonly #requests = new Map<number, OpenCall>();
  /** Models that each pipeline has in no time, because it had them. */
  readonly #resident = new Map<string, Set<string>>();
  #nextId = 0;

  constructor(parts: MadeServerParts) {
    const { clock, load, models, shape } = parts;
    this.#parts = parts;
    this.#models = new Map(models.map((each) => [each.spec.model, each]));
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

  /** With runs and between them, of all pipelines. */
  get busyMs(): number {
    let ms = 0;
    for (const pipeline of this.#pipelines.values()) ms += pipeline.busyMs;
    return ms;
  }

  /** `onEnd` is called once. */
  arrive(call: RecordedCall, onEnd: OnEnd): void {
    const { clock } = this.#parts;
    const arrivedAtMs = clock.now();
    let ticket: ReturnType<Admission["admit"]>;
    try {
      ticket = this.#admission.admit({ items: call.inputs, bytes: call.bytes });
    } catch (error) {
      return onEnd(codeOf(error), false);
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
        return onEnd(codeOf(error), false);
      }
      this.#queue(call, deadlineAtMs, (code) => {
        ticket.release();
        onEnd(code, true);
      });
    });
  }

  #up(pipelineId: string, { kind, modelMemoryBytesMax, resident }: PlannedPipeline): void {
    const { clock, shape, recordedMs } = this.#parts;
    const times = {
      betweenMs: shape.betweenMs,
      stretch: () => shape.stretchOf(this.#running, recordedMs()),
    };
    const pipeline = new MadePipeline(
      clock,
      {
        onEnded: (itemIds) => this.#ended(pipelineId, itemIds),
        onMeasured: (model, stages) => {
          for (const { stage, runs, paddedUnits, ms } of stages)
            this.#scheduler.step({ type: "measured", model, stage, runs, paddedUnits, ms });
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

  #queue(
    call: RecordedCall,
    deadlineAtMs: number | null,
    onEnd: (code: string | null) => void,
  ): void {
    const planned = this.#models.get(call.model);
    if (planned === undefined) throw new Error(`${call.model} is not planned with`);
    const open = new OpenCall(itemCountOf(call), onEnd);
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
        return this.#pipeline(decision.pipelineId).unload(decision.model);
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
    this.#pipeline(pipelineId).load(planned, { rowsMax, ms }, () =>
      this.#scheduler.step({ type: "loaded", pipelineId, model, bytes, ms: planned.loadMs }),
    );
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
    code: string,
    later: (action: () => void) => void,
  ): void {
    const call = this.#requests.get(requestId);
    if (call === undefined) return;
    later(() => {
      for (const id of call.requestIds) this.#scheduler.step({ type: "cancel", requestId: id });
      this.#over(call, code);
    });
  }

  #over(call: OpenCall, code: string | null): void {
    for (const id of call.requestIds) this.#requests.delete(id);
    call.end(code);
  }

  #pipeline(pipelineId: string): MadePipeline {
    const pipeline = this.#pipelines.get(pipelineId);
    if (pipeline === undefined) throw new Error(`there is no pipeline ${pipelineId}`);
    return pipeline;
  }
}

export function itemCountOf({ items }: Pick<RecordedCall, "items">): number {
  let sum = 0;
  for (const [, , , count] of items) sum += count;
  return sum;
}

function codeOf(error: unknown): string {
  if (error instanceof MillraceError) return error.code;
  throw error;
}
