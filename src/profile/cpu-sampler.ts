/** V8's sampling profiler on the thread that starts it. One at a time in a process. */
import { type Profiler, Session } from "node:inspector";
import type { SampledProfile } from "millrace-client/wire";
import { addProfile, type CalledFrame, listed, rootFrame } from "./call-tree.js";
import { addOperators, profiledGraphs, type WatchedGraph } from "./operators.js";
import { sourcePlaces } from "./source-places.js";

/** A sample each millisecond: 60,000 in the longest profile, a word each. */
const serverSamplingMicroseconds = 1_000;

export class CpuSampler {
  readonly #session = new Session();
  readonly #microseconds: number;
  readonly #startMs: number;
  readonly #from: number;

  constructor(samplingMicroseconds: number = serverSamplingMicroseconds) {
    this.#microseconds = samplingMicroseconds;
    const before = nowMicroseconds();
    this.#session.connect();
    this.#session.post("Profiler.enable");
    this.#session.post("Profiler.setSamplingInterval", { interval: samplingMicroseconds });
    this.#session.post("Profiler.start");
    this.#from = nowMicroseconds();
    this.#startMs = (this.#from - before) / 1_000;
  }

  /** Ends it and adds what was seen to `root`. */
  addTo(root: CalledFrame): { readonly sampledMs: number; readonly endedAt: number } {
    const span = { from: this.#from, to: nowMicroseconds() };
    let profile: Profiler.Profile | undefined;
    try {
      // Its answer comes before `post` returns: both are on this thread.
      this.#session.post("Profiler.stop", (error, result) => {
        if (error !== null) throw error;
        ({ profile } = result);
      });
    } finally {
      this.#session.disconnect();
    }
    if (profile === undefined) throw new Error("the profiler gave no profile");
    return { sampledMs: addProfile(root, profile, span), endedAt: span.to };
  }

  /** Ends it; `watched` is what the runtime did meanwhile. */
  async stop(watched: readonly WatchedGraph[] = []): Promise<SampledProfile> {
    const root = rootFrame();
    const { sampledMs, endedAt } = this.addTo(root);
    addOperators(root, watched);
    const stopMs = (nowMicroseconds() - endedAt) / 1_000;
    const urls = new Set<string>();
    const visit = ({ place, children }: CalledFrame): void => {
      if (place.url !== "") urls.add(place.url);
      for (const child of children.values()) visit(child);
    };
    visit(root);
    return {
      sampledMs,
      everyMs: this.#microseconds / 1_000,
      stoodStillMs: { start: this.#startMs, stop: stopMs },
      nodes: listed(root, await sourcePlaces(urls)),
      graphs: profiledGraphs(watched),
    };
  }

  /** Ends it, and nobody wants to know what it saw. */
  discard(): void {
    this.#session.disconnect();
  }
}

function nowMicroseconds(): number {
  return Number(process.hrtime.bigint() / 1_000n);
}
