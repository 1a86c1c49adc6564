/**
 * Time as jobs see it: the wall clock when the server started, and from then on what really passed. A clock that is set while the
 * server runs moves nothing; one that was set back before it started makes nothing young again.
 */
import type { JobStore } from "./store.js";

export class JobsClock {
  readonly #startedAtMs: number;
  readonly #sinceMs: () => number;
  readonly #beganMs: number;

  constructor(startedAtMs: number, sinceMs: () => number = () => performance.now()) {
    this.#startedAtMs = startedAtMs;
    this.#sinceMs = sinceMs;
    this.#beganMs = sinceMs();
  }

  /** In whole milliseconds since 1970. */
  now(): number {
    return Math.floor(this.#startedAtMs + this.#sinceMs() - this.#beganMs);
  }
}

export async function openJobsClock(
  store: Pick<JobStore, "keptTimeMs">,
  wallMs: () => number = () => Date.now(),
): Promise<JobsClock> {
  return new JobsClock(Math.max(wallMs(), await store.keptTimeMs()));
}
