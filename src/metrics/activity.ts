/** What happened lately, kept in bounded memory for `/status`: batches, waits, and where the time went. */
import type {
  BatchRecord,
  PipelineWork,
  StageTime,
  StatusResponse,
  WorkClass,
} from "millrace-client/wire";
import { noRuns, runsTogether } from "../work/run-sums.js";
import { sortedAt } from "./sorted-at.js";

const recentBatchesMax = 64;
const waitSamplesMax = 2_048;

export class Activity {
  readonly #byReason = new Map<string, number>();
  /** Newest last; `agoMs` holds the time of the dispatch until it is read. */
  readonly #recent: BatchRecord[] = [];
  readonly #stages = new Map<string, StageTime>();
  /** By pipeline, then by model. */
  readonly #work = new Map<string, Map<string, PipelineWork>>();
  readonly #waits: Record<WorkClass, WaitSamples> = {
    realtime: new WaitSamples(),
    bulk: new WaitSamples(),
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
    return {
      batches: {
        byReason: Object.fromEntries(this.#byReason),
        recent: this.#recent
          .toReversed()
          .map((batch) => ({ ...batch, agoMs: nowMs - batch.agoMs })),
      },
      stages: [...this.#stages.values()],
      waits: { realtime: this.#waits.realtime.view(), bulk: this.#waits.bulk.view() },
    };
  }
}

/** The last waits, in a ring. */
class WaitSamples {
  readonly #samples = new Float64Array(waitSamplesMax);
  #count = 0;

  add(ms: number): void {
    this.#samples[this.#count % waitSamplesMax] = ms;
    this.#count += 1;
  }

  view(): StatusResponse["waits"][WorkClass] {
    const kept = this.#samples.slice(0, Math.min(this.#count, waitSamplesMax)).sort();
    return { count: this.#count, p50Ms: sortedAt(kept, 0.5), p99Ms: sortedAt(kept, 0.99) };
  }
}
