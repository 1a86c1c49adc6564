/** What happened lately, kept in bounded memory for `/status`: batches, waits, and where the time went. */
import type {
  BatchRecord,
  PipelineWork,
  StageTime,
  StatusResponse,
  WorkClass,
} from "millrace-client/wire";
import { noRuns, runsTogether } from "../work/run-sums.js";
import { RecentQuantiles } from "./recent-quantiles.js";

const recentBatchesMax = 64;

export class Activity {
  readonly #byReason = new Map<string, number>();
  /** Newest last; `agoMs` holds the time of the dispatch until it is read. */
  readonly #recent: BatchRecord[] = [];
  readonly #stages = new Map<string, StageTime>();
  /** By pipeline, then by model. */
  readonly #work = new Map<string, Map<string, PipelineWork>>();
  readonly #waits: Record<WorkClass, RecentQuantiles> = {
    realtime: new RecentQuantiles(),
    bulk: new RecentQuantiles(),
  };

  dispatched(batch: Omit<BatchRecord, "agoMs">, nowMs: number): void {
    this.#byReason.set(batch.reason, (this.#byReason.get(batch.reason) ?? 0) + 1);
    this.#recent.push({ ...batch, agoMs: nowMs });
    if (this.#recent.length > recentBatchesMax) this.#recent.shift();
  }

  /** An item was handed over for the first time. */
  waited(workClass: WorkClass, ms: number): void {
    this.#waits[workClass].add(ms);
  }

  measured(pipelineId: string, run: StageTime): void {
    const { model, stage } = run;
    const key = `${model} ${stage}`;
    const sums = runsTogether(this.#stages.get(key) ?? noRuns, run);
    this.#stages.set(key, { model, stage, ...sums });
    const work = this.#work.get(pipelineId) ?? new Map<string, PipelineWork>();
    this.#work.set(pipelineId, work);
    work.set(model, { model, ...runsTogether(work.get(model) ?? noRuns, run) });
  }

  /** Of a pipeline, by model. */
  workOf(pipelineId: string): readonly PipelineWork[] {
    return [...(this.#work.get(pipelineId)?.values() ?? [])];
  }

  view(nowMs: number): Pick<StatusResponse, "batches" | "stages" | "waits"> {
    const waits = (workClass: WorkClass): StatusResponse["waits"][WorkClass] => {
      const its = this.#waits[workClass];
      return { count: its.count, ...its.view(nowMs) };
    };
    return {
      batches: {
        byReason: Object.fromEntries(this.#byReason),
        recent: this.#recent
          .toReversed()
          .map((batch) => ({ ...batch, agoMs: nowMs - batch.agoMs })),
      },
      stages: [...this.#stages.values()],
      waits: { realtime: waits("realtime"), bulk: waits("bulk") },
    };
  }
}
