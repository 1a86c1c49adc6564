/** What this process does, sampled between two words of the parent. */
import type { SampledProfile } from "millrace-client/wire";
import type { ChildFrame } from "../frames/messages.js";
import type { CpuSampler } from "../profile/cpu-sampler.js";
import { messageOf } from "../work/thrown.js";
import type { RunWatch } from "./run-watch.js";

type Profiled = Extract<ChildFrame, { readonly type: "profiled" | "profile-failed" }>;

export class OwnProfile {
  readonly #runs: RunWatch;
  #starting: Promise<CpuSampler> | null = null;

  constructor(runs: RunWatch) {
    this.#runs = runs;
  }

  /** The profiler is loaded when it is first asked for: a process that nobody looks at has none. */
  start(operators: boolean): void {
    if (operators) this.#runs.start();
    const starting = import("../profile/cpu-sampler.js").then(({ CpuSampler }) => new CpuSampler());
    // Why it could not is told when it is asked for.
    starting.catch(() => {});
    this.#starting = starting;
  }

  async stop(): Promise<Profiled> {
    try {
      return { type: "profiled", profile: await this.#stopped() };
    } catch (error) {
      return { type: "profile-failed", message: messageOf(error) };
    }
  }

  async #stopped(): Promise<SampledProfile> {
    const starting = this.#starting;
    this.#starting = null;
    const watched = this.#runs.stop();
    if (starting === null) throw new Error("it was never begun");
    return await (await starting).stop(watched);
  }
}
