/**
 * Time as jobs see it: the wall clock when the server started, and from then on what really passed. A clock that is set while the
 * server runs moves nothing; one that was set back before it started makes nothing young again.
 */
import { MillraceError } from "millrace-client/wire";
import type { JobStore } from "./store.js";

export class JobsClock {
  #startedAtMs: number;
  readonly #sinceMs: () => number;
  readonly #beganMs: number;

  constructor(startedAtMs: number, sinceMs: () => number = () => performance.now()) {
    this.#startedAtMs = startedAtMs;
    this.#sinceMs = sinceMs;
    this.#beganMs = sinceMs();
  }

  /** A time that was kept, and could not be read before. */
  notBefore(keptMs: number): void {
    this.#startedAtMs += Math.max(0, keptMs - this.now());
  }

  /** In whole milliseconds since 1970. */
  now(): number {
    return Math.floor(this.#startedAtMs + this.#sinceMs() - this.#beganMs);
  }
}

/** Where the store cannot say it just now, the kept time is heard of later (job-keeper.ts), before anything that is kept is looked at. */
export async function openJobsClock(
  store: Pick<JobStore, "keptTimeMs" | "reason">,
  wallMs: () => number = () => Date.now(),
): Promise<JobsClock> {
  const clock = new JobsClock(wallMs());
  if (store.reason() !== null) return clock;
  try {
    clock.notBefore(await store.keptTimeMs());
  } catch (error) {
    // Also of a store that says it is there: it may have gone and come back while it was asked.
    if (!(error instanceof MillraceError && error.code === "job_store_failed")) throw error;
  }
  return clock;
}
