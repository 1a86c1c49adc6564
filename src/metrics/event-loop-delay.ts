/** How late the event loop runs: the server's own health, sampled by Node itself. */
import { type IntervalHistogram, monitorEventLoopDelay } from "node:perf_hooks";

const NANOSECONDS_PER_MS = 1e6;
const resolutionMs = 10;
/** The figure covers between one and two of these. */
const windowMs = 10_000;

/** Owned by the server; `[Symbol.dispose]` stops the sampling. */
export class EventLoopDelay {
  readonly #histogram: IntervalHistogram = monitorEventLoopDelay({ resolution: resolutionMs });
  readonly #timer: NodeJS.Timeout;
  #lastP99Ms = 0;

  constructor() {
    this.#histogram.enable();
    this.#timer = setInterval(() => {
      this.#lastP99Ms = this.#currentP99Ms();
      this.#histogram.reset();
    }, windowMs).unref();
  }

  /** The worse of the present and the last window, in milliseconds beyond the sampling interval. */
  p99Ms(): number {
    return Math.max(this.#lastP99Ms, this.#currentP99Ms());
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#histogram.disable();
  }

  #currentP99Ms(): number {
    // Node records the time between two samples, so an idle loop shows the resolution itself.
    if (this.#histogram.count === 0) return 0;
    return Math.max(0, this.#histogram.percentile(99) / NANOSECONDS_PER_MS - resolutionMs);
  }
}
