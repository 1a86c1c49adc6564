/** What became of each model's requests and runs, kept in bounded memory. */
import { runSizesMax, type StageReport } from "../frames/messages.js";
import type { SubmitSummary } from "../submit/submit.js";
import type { ModelStatistics, TimedCount } from "../work/views.js";

const none: TimedCount = { count: 0, ms: 0 };

interface Page {
  lastAtMs: number;
  inputs: number;
  done: TimedCount;
  failed: TimedCount;
  prepare: TimedCount;
  queue: TimedCount;
  compute: TimedCount;
  rest: TimedCount;
  /** The first one that reported: the others see what it made. */
  stage: string | null;
  readonly runs: Map<number, TimedCount>;
}

interface MeasuredRuns extends Pick<StageReport, "stage" | "sizes"> {
  readonly model: string;
}

export class ModelBook {
  readonly #pages = new Map<string, Page>();

  /** A request that has all its outcomes. */
  ended({ model, inputs, timings }: SubmitSummary, failedInputs: number): void {
    const { prepareMs, queueMs, computeMs, totalMs } = timings;
    const page = this.#pageOf(model);
    page.lastAtMs = Date.now();
    page.inputs += inputs - failedInputs;
    if (failedInputs > 0) {
      page.failed = plus(page.failed, totalMs);
      return;
    }
    page.done = plus(page.done, totalMs);
    page.prepare = plus(page.prepare, prepareMs);
    page.queue = plus(page.queue, queueMs);
    page.compute = plus(page.compute, computeMs);
    page.rest = plus(page.rest, Math.max(0, totalMs - prepareMs - queueMs - computeMs));
  }

  /** A request that was refused, or failed as a whole. */
  failed(model: string, ms: number): void {
    const page = this.#pageOf(model);
    page.failed = plus(page.failed, ms);
    page.lastAtMs = Date.now();
  }

  measured({ model, stage, sizes }: MeasuredRuns): void {
    const page = this.#pageOf(model);
    page.stage ??= stage;
    if (page.stage !== stage) return;
    for (const { rows, runs, ms } of sizes) {
      const size = Math.min(runSizesMax, rows);
      page.runs.set(size, plus(page.runs.get(size) ?? none, ms, runs));
    }
  }

  /** Of these and of no other: what is served no more is forgotten. */
  view(models: readonly string[]): readonly Omit<ModelStatistics, "residentBytes">[] {
    for (const model of this.#pages.keys()) {
      if (!models.includes(model)) this.#pages.delete(model);
    }
    return models.map((model) => {
      const { stage: _, runs, ...page } = this.#pages.get(model) ?? emptyPage();
      const bySize = [...runs].toSorted(([left], [right]) => left - right);
      return { model, ...page, runs: bySize.map(([rows, timed]) => ({ rows, ...timed })) };
    });
  }

  #pageOf(model: string): Page {
    const page = this.#pages.get(model) ?? emptyPage();
    this.#pages.set(model, page);
    return page;
  }
}

function plus({ count, ms }: TimedCount, more: number, times = 1): TimedCount {
  return { count: count + times, ms: ms + more };
}

function emptyPage(): Page {
  const times = { done: none, failed: none, prepare: none, queue: none, compute: none, rest: none };
  return { lastAtMs: 0, inputs: 0, ...times, stage: null, runs: new Map() };
}
