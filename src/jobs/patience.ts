/** How long a job waits that the server cannot run just now: longer each time, until something of it was run. */

const waitMinMs = 100;
const waitMaxMs = 10_000;
/** That are remembered without a look at who has ended. */
const jobsMax = 256;

export class Patience {
  readonly #now: () => number;
  readonly #jobs = new Map<string, { waitMs: number; untilMs: number }>();

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Chunks of one job that are told together wait together. */
  later(jobId: string, atLeastMs: number): number {
    const now = this.#now();
    const waiting = this.#jobs.get(jobId) ?? { waitMs: waitMinMs / 2, untilMs: now };
    if (now >= waiting.untilMs) {
      waiting.waitMs = Math.min(waitMaxMs, 2 * waiting.waitMs);
      waiting.untilMs = now + waiting.waitMs;
    }
    this.#jobs.set(jobId, waiting);
    this.#forget(now);
    return Math.max(atLeastMs, waiting.untilMs - now);
  }

  ran(jobId: string): void {
    this.#jobs.delete(jobId);
  }

  /** Jobs that nobody asks for any more: they have ended. */
  #forget(now: number): void {
    if (this.#jobs.size <= jobsMax) return;
    for (const [id, { untilMs }] of this.#jobs) {
      if (untilMs + waitMaxMs < now) this.#jobs.delete(id);
    }
  }
}
