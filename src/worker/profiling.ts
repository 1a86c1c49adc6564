/** Profiles of one life of a process: asked for, waited for, and ended with it. */
import assert from "node:assert/strict";
import { MillraceError, type SampledProfile } from "millrace-client/wire";
import type { ChildFrame, ParentFrame } from "../frames/messages.js";
import { ProtocolError } from "../frames/protocol-error.js";
import type { AskedSampling } from "../profile/profiles.js";

type Profiled = Extract<ChildFrame, { readonly type: "profiled" | "profile-failed" }>;

interface Asked {
  readonly resolve: (profile: SampledProfile) => void;
  readonly reject: (error: MillraceError) => void;
}

export class Profiling {
  readonly #send: (frame: ParentFrame) => void;
  #asked: Asked | null = null;
  #ended = false;

  constructor(send: (frame: ParentFrame) => void) {
    this.#send = send;
  }

  /** Until the signal says so. A child that is in a run answers behind it. Rejects where the process ends before. */
  take({ operators, until }: AskedSampling): Promise<SampledProfile> {
    if (this.#asked !== null) {
      const message = "the pipeline still owes the profile before this one: try again in a second";
      return Promise.reject(new MillraceError("queue_full", message));
    }
    assert(!this.#ended, "profile: of a life that is over");
    const stop = (): void => {
      if (!this.#ended) this.#send({ type: "profile", step: "stop" });
    };
    this.#send({ type: "profile", step: operators ? "start-with-operators" : "start" });
    const answer = new Promise<SampledProfile>((resolve, reject) => {
      this.#asked = { resolve, reject };
    });
    if (until.aborted) stop();
    else until.addEventListener("abort", stop, { once: true });
    return answer.finally(() => until.removeEventListener("abort", stop));
  }

  /** @throws ProtocolError where nobody asked. */
  hear(frame: Profiled): void {
    if (this.#asked === null) throw new ProtocolError("sent a profile that nobody asked for");
    const { resolve, reject } = this.#asked;
    this.#asked = null;
    if (frame.type === "profiled") resolve(frame.profile);
    else reject(new MillraceError("internal", `no profile: ${frame.message}`));
  }

  end(reason: string): void {
    this.#ended = true;
    this.#asked?.reject(new MillraceError("worker_lost", `the profiled pipeline ended: ${reason}`));
    this.#asked = null;
  }
}
