/** What became of requests, as their callers saw them: of this server's fronts, whoever ran the items. */
import type {
  ErrorCode,
  FinishedRequests,
  RequestTimings,
  StatusResponse,
  WorkClass,
} from "millrace-client/wire";
import { RecentQuantiles } from "./recent-quantiles.js";

const sampleAgeMsMax = 60_000;

export class Traffic {
  readonly #finished: Record<WorkClass, FinishedSums> = {
    realtime: new FinishedSums(),
    bulk: new FinishedSums(),
  };
  /** As many as there are codes. */
  readonly #refusals = new Map<ErrorCode, number>();
  readonly #failures = new Map<ErrorCode, number>();

  finished(workClass: WorkClass, timings: RequestTimings, nowMs: number): void {
    this.#finished[workClass].add(timings, nowMs);
  }

  refused(code: ErrorCode): void {
    this.#refusals.set(code, (this.#refusals.get(code) ?? 0) + 1);
  }

  itemsFailed(code: ErrorCode, items: number): void {
    this.#failures.set(code, (this.#failures.get(code) ?? 0) + items);
  }

  view(nowMs: number): Required<Pick<StatusResponse, "finished" | "refusals" | "failures">> {
    const { realtime, bulk } = this.#finished;
    return {
      finished: { realtime: realtime.view(nowMs), bulk: bulk.view(nowMs) },
      refusals: Object.fromEntries(this.#refusals),
      failures: Object.fromEntries(this.#failures),
    };
  }
}

class FinishedSums {
  readonly #total = new RecentQuantiles(sampleAgeMsMax);
  readonly #sums = { prepareMs: 0, queueMs: 0, computeMs: 0, totalMs: 0 };

  add({ prepareMs, queueMs, computeMs, totalMs }: RequestTimings, nowMs: number): void {
    const sums = this.#sums;
    this.#total.add(totalMs, nowMs);
    sums.prepareMs += prepareMs;
    sums.queueMs += queueMs;
    sums.computeMs += computeMs;
    sums.totalMs += totalMs;
  }

  view(nowMs: number): FinishedRequests {
    return { count: this.#total.count, ...this.#sums, ...this.#total.view(nowMs) };
  }
}
