/**
 * A span for each batch that a traced request has items in, and below it what the stages of its pipeline did meanwhile. It links to the
 * requests, and they to it; where all of it is one request's it is that one's child, else it has a trace of its own.
 *
 *   dispatched ─► items settle ─► the last one: it ends ─► the pipeline's next report: what its stages did is told with it
 *
 * Pipelines report once a second, and when they idle: sums of all that they had since their last report, so a batch that was not alone
 * there shares them with others. Where nothing is traced all of this is one look at an empty map.
 */
import type { StageReport } from "../../frames/messages.js";
import type { Batch } from "../../scheduler/types.js";
import type { Clock } from "../../work/clock.js";
import { type RunSums, runsTogether } from "../../work/run-sums.js";
import type { TraceSpan } from "../../work/trace-span.js";

export interface DispatchedBatch {
  readonly pipelineId: string;
  readonly modelName: string;
  readonly batch: Batch;
  /** `compute` of each request in it that is traced. */
  readonly requests: ReadonlySet<TraceSpan>;
}

interface OpenBatch {
  readonly span: TraceSpan;
  readonly pipelineId: string;
  readonly model: string;
  readonly stages: Map<string, { readonly fromMs: number; toMs: number; sums: RunSums }>;
  itemsLeft: number;
  reportedAtMs: number;
  /** Null: items of it are still in the pipeline. */
  endedAtMs: number | null;
  /** Its pipeline went with items of it: no report follows. */
  isLost: boolean;
  stopWaiting: () => void;
}

/** Twice what a pipeline that works lets pass between two reports; one that had nothing to measure sends none. */
const reportWaitMs = 2_000;

export class BatchSpans {
  readonly #clock: Clock;
  readonly #byItem = new Map<number, OpenBatch>();
  readonly #open = new Set<OpenBatch>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  dispatched({ pipelineId, modelName, batch, requests }: DispatchedBatch): void {
    const [first] = requests;
    if (first === undefined) return;
    const atMs = this.#clock.now();
    const itemIds = batch.segments.flatMap((segment) => segment.itemIds);
    const start = {
      atMs,
      links: [...requests].map(({ context }) => context),
      attributes: {
        "millrace.batch.id": batch.batchId,
        "millrace.batch.reason": batch.reason,
        "millrace.batch.items": itemIds.length,
        "millrace.batch.requests": batch.segments.length,
        "millrace.batch.units": batch.units,
        "millrace.batch.padded_units": batch.paddedUnits,
        "millrace.pipeline": pipelineId,
        "millrace.model": modelName,
        "millrace.class": batch.class,
      },
    };
    const isOneRequests = batch.segments.length === 1;
    const span = isOneRequests ? first.child("batch", start) : first.apart("batch", start);
    for (const request of requests) request.link(span.context);
    const open: OpenBatch = {
      span,
      pipelineId,
      model: batch.model,
      stages: new Map(),
      itemsLeft: itemIds.length,
      reportedAtMs: atMs,
      endedAtMs: null,
      isLost: false,
      stopWaiting: () => {},
    };
    this.#open.add(open);
    for (const itemId of itemIds) this.#byItem.set(itemId, open);
  }

  /** The item is in its pipeline no more, whatever became of it. */
  settled(itemId: number): void {
    if (this.#byItem.size === 0) return;
    const batch = this.#byItem.get(itemId);
    if (batch === undefined) return;
    this.#byItem.delete(itemId);
    batch.itemsLeft -= 1;
    if (batch.itemsLeft > 0) return;
    batch.endedAtMs = this.#clock.now();
    if (batch.isLost) this.#finish(batch);
    else {
      const finish = (): void => this.#finish(batch);
      batch.stopWaiting = this.#clock.after(reportWaitMs, finish, "background");
    }
  }

  measured(pipelineId: string, model: string, stages: readonly StageReport[]): void {
    if (this.#open.size === 0) return;
    const nowMs = this.#clock.now();
    for (const batch of this.#open) {
      if (batch.pipelineId !== pipelineId || batch.model !== model) continue;
      const toMs = Math.min(nowMs, batch.endedAtMs ?? nowMs);
      for (const { stage, ...sums } of stages) {
        const known = batch.stages.get(stage);
        if (known === undefined) {
          batch.stages.set(stage, { fromMs: batch.reportedAtMs, toMs, sums });
        } else {
          known.toMs = toMs;
          known.sums = runsTogether(known.sums, sums);
        }
      }
      batch.reportedAtMs = toMs;
      if (batch.endedAtMs !== null) this.#finish(batch);
    }
  }

  /** No report follows of this pipeline, or of this model there; what has not settled settles now. */
  gone(pipelineId: string, model?: string): void {
    if (this.#open.size === 0) return;
    for (const batch of this.#open) {
      if (batch.pipelineId !== pipelineId) continue;
      if (model !== undefined && batch.model !== model) continue;
      if (batch.endedAtMs !== null) this.#finish(batch);
      else batch.isLost = true;
    }
  }

  /** Of what comes no more. */
  close(): void {
    for (const batch of this.#open) this.#finish(batch);
    this.#byItem.clear();
  }

  #finish(batch: OpenBatch): void {
    const { span, stages, endedAtMs } = batch;
    batch.stopWaiting();
    this.#open.delete(batch);
    for (const [stage, { fromMs, toMs, sums }] of stages) {
      const attributes = {
        "millrace.stage.runs": sums.runs,
        "millrace.stage.run_ms": sums.ms,
        "millrace.stage.units": sums.units,
        "millrace.stage.padded_units": sums.paddedUnits,
      };
      span.child(`stage ${stage}`, { atMs: fromMs, attributes }).end({ atMs: toMs });
    }
    const atMs = endedAtMs ?? this.#clock.now();
    span.end(batch.isLost ? { atMs, error: "worker_lost" } : { atMs });
  }
}
