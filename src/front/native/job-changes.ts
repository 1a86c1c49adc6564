/** What happens to one job, for who waits for it: the latest of it, and never more than once what happened meanwhile. */
import type { Jobs } from "../../jobs/jobs.js";
import type { StoredJob } from "../../jobs/store.js";
import type { Exchange } from "../../listen/http/http-front.js";

/** As often whoever waits looks whether there is a reason not to: the server stops, say. */
const tickMs = 1_000;
/** Ticks without news after which the job is asked for: it may have been removed. */
const quietTicksMax = 15;

export class JobChanges implements Disposable {
  readonly #jobs: Jobs;
  readonly #exchange: Exchange;
  readonly #ended = new AbortController();
  #latest: StoredJob;
  #hasNews = false;
  #quietTicks = 0;
  #wake: () => void = () => {};
  readonly #end = (): void => this.#ended.abort();

  /** `job`: as it was when the exchange asked. A caller who leaves ends it. */
  constructor(jobs: Jobs, exchange: Exchange, job: StoredJob) {
    this.#jobs = jobs;
    this.#exchange = exchange;
    this.#latest = job;
    const { signal } = this.#ended;
    jobs.watch(
      job.id,
      (changed) => {
        this.#latest = changed;
        this.#hasNews = true;
        this.#wake();
      },
      signal,
    );
    signal.addEventListener("abort", () => this.#wake(), { once: true });
    if (exchange.departed.aborted) this.#end();
    else exchange.departed.addEventListener("abort", this.#end, { once: true });
  }

  /** The job at its next change, or as it is after a while without one; null when the caller has left. */
  async next(): Promise<StoredJob | null> {
    if (!this.#hasNews && !this.#exchange.departed.aborted) await this.#rung();
    if (this.#exchange.departed.aborted) return null;
    if (this.#hasNews) this.#quietTicks = 0;
    else this.#quietTicks += 1;
    this.#hasNews = false;
    if (this.#quietTicks >= quietTicksMax) {
      this.#quietTicks = 0;
      this.#latest = await this.#jobs.job(this.#exchange.caller, this.#latest.id);
    }
    return this.#latest;
  }

  [Symbol.dispose](): void {
    this.#exchange.departed.removeEventListener("abort", this.#end);
    this.#end();
  }

  async #rung(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, tickMs);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }
}
