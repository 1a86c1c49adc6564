/** What happened lately, kept in bounded memory for `/status`: batches, waits, and where the time went. */
import type { BatchRecord, StageTime, StatusResponse, WorkClass } from "millrace-client/wire";

const recentBatchesMax = 64;
const waitSamplesMax = 2_048;

export class Activity {
  readonly #byReason = new Map<string, number>();
  /** Newest last; `agoMs` holds the time of the dispatch until it is read. */
  readonly #recent: BatchRecord[] = [];
  readonly #stages = new Map<string, StageTime>();
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

  measured(run: StageTime): void {
    const key = `${run.model} ${run.stage}`;
    const sum = this.#stages.get(key);
    if (sum === undefined) {
      this.#stages.set(key, run);
      return;
    }
    this.#stages.set(key, {
      ...sum,
      runs: sum.runs + run.runs,
      rows: sum.rows + run.rows,
      units: sum.units + run.units,
      paddedUnits: sum.paddedUnits + run.paddedUnits,
      ms: sum.ms + run.ms,
    });
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
    const at = (part: number) =>
      kept[Math.min(kept.length - 1, Math.floor(kept.length * part))] ?? 0;
    return { count: this.#count, p50Ms: at(0.5), p99Ms: at(0.99) };
  }
}
