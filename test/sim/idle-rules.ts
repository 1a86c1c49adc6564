/** What may wait beside a pipeline that has room, and what is called back for it. */
import type { HostingAccount } from "./hosting-rules.js";
import {
  type CheckOptions,
  fail,
  type Item,
  leadingKey,
  type Pipeline,
  type SchedulerAccount,
  weightOf,
} from "./scheduler-account.js";

const windowMsMax = 100;
const seedBatchItems = 64;

export class IdleRules {
  readonly #account: SchedulerAccount;
  readonly #hosting: HostingAccount;
  readonly #options: CheckOptions;

  constructor(account: SchedulerAccount, hosting: HostingAccount, options: CheckOptions) {
    this.#account = account;
    this.#hosting = hosting;
    this.#options = options;
  }

  check(nowMs: number, wakeAtMs: number): void {
    this.#checkIdle(nowMs, wakeAtMs);
    this.#checkRecall();
  }

  #checkIdle(nowMs: number, wakeAtMs: number): void {
    for (const pipeline of this.#account.pipelines.values()) {
      const { spec, batches } = pipeline;
      if (this.#account.waiting.size === 0) return;
      if (this.#account.isReserved(spec.pipelineId) || this.#isLeaving(pipeline)) continue;
      const isFree = spec.mode === "continuous" || batches.length === 0;
      if (!isFree) continue;
      const queued = this.#account.queued(pipeline);
      const head = queued[0];
      if (head === undefined) continue;
      if (this.#options.policy === "seed-router") {
        if (batches.length > 0) continue;
        for (const each of ["realtime", "bulk"] as const) {
          const waiting = queued.filter(({ request }) => request.class === each);
          const requests = [...new Set(waiting.map(({ request }) => request))];
          const key = leadingKey(requests.toSorted((a, b) => weightOf(a) - weightOf(b))[0]);
          if (waiting.filter(({ batchKey }) => batchKey === key).length >= seedBatchItems)
            fail("no free pipeline beside a queue", `${spec.pipelineId} at ${nowMs}`);
          if (nowMs - (waiting[0]?.request.arrivedMs ?? nowMs) >= windowMsMax)
            fail("a window is bounded", `${each} at ${spec.pipelineId}`);
        }
      } else if (spec.mode === "one-shot") {
        if (batches.length === 0) this.#checkWindow(queued, nowMs, wakeAtMs);
      } else this.#checkRoom(pipeline, queued);
    }
  }

  /** An idle one-shot pipeline beside a queue: only inside a window, which has an end. */
  #checkWindow(queued: readonly Item[], nowMs: number, wakeAtMs: number): void {
    if (this.#options.policy === "fcfs" || wakeAtMs === Infinity)
      fail("no free pipeline beside a queue", `${queued.length} items wait at ${nowMs}`);
    const inWindow = (["realtime", "bulk"] as const).some((each) => {
      const head = queued.find(({ request }) => request.class === each);
      return head !== undefined && nowMs - head.request.arrivedMs < windowMsMax;
    });
    if (!inWindow)
      fail("a window is bounded", `the oldest waits since ${queued[0]?.request.arrivedMs}`);
  }

  #checkRoom(pipeline: Pipeline, queued: readonly Item[]): void {
    for (const each of ["small", "large", "bulk"] as const) {
      const waiting = queued.filter(({ request }) => request.rank === each);
      const isHead = this.#options.policy === "millrace" || queued[0]?.request.rank === each;
      if (waiting.length === 0 || !isHead) continue;
      const most = Math.max(...waiting.map(({ rows }) => rows));
      const { rowsMax } = pipeline.spec;
      const left = rowsMax + this.#options.prefetchRows - this.#account.rows(pipeline);
      // Places beyond those that run are refilled when half of them are empty.
      const waits = each !== "small" && 2 * left < this.#options.prefetchRows;
      const common = waits ? 0 : left;
      const own = each === "bulk" ? 0 : rowsMax - this.#account.rows(pipeline, each);
      if (Math.max(common, own) >= most)
        fail("no free pipeline beside a queue", `${pipeline.spec.pipelineId} has room for ${each}`);
    }
  }

  #checkRecall(): void {
    if (this.#options.policy !== "millrace" || this.#account.waiting.size === 0) return;
    const models = new Set([...this.#account.pipelines.values()].map(({ spec }) => spec.model));
    for (const model of models) {
      if (this.#account.mayDrain(model)) continue;
      const able = [...this.#account.pipelines.values()].filter(
        (each) =>
          each.spec.model === model &&
          !this.#account.isReserved(each.spec.pipelineId) &&
          !this.#isLeaving(each) &&
          this.#account.queued(each).some(({ request }) => request.class === "realtime"),
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
    if (this.#hosting.isLoading(spec.pipelineId)) return true;
    return batches.length > 0 && this.#hosting.isContested(spec.pipelineId);
  }
}
