import type { MillraceError } from "./wire/index.js";

/** When a failed call is tried again. Only retryable codes are, see `errorRegistry`. */
export interface RetryPolicy {
  /** Attempts in a row that brought no result; 1: never try again. Default: 5. */
  readonly attemptsMax: number;
  /** The first pause is random between 0 and this, the next between 0 and twice this, … Default: 100. */
  readonly delayMs: number;
  /** No pause is longer than this, whatever `Retry-After` says. Default: 10 000. */
  readonly delayMsMax: number;
  /**
   * No attempt begins later than this after the first of the failures in a row; a reply that begins well ends the
   * row, for how long it then waited in the server's queue is no failure. Default: 120 000.
   */
  readonly totalMs: number;
}

export const retryDefaults: RetryPolicy = {
  attemptsMax: 5,
  delayMs: 100,
  delayMsMax: 10_000,
  totalMs: 120_000,
};

/** Counts the failures of one call. Without a clock of its own: it is told the time. */
export class RetryBudget {
  readonly #policy: RetryPolicy;
  readonly #random: () => number;
  #failures = 0;
  /** Of the first failure in a row. */
  #sinceMs: number | null = null;

  constructor(policy: RetryPolicy, random: () => number = Math.random) {
    this.#policy = policy;
    this.#random = random;
  }

  /** The server took the request in: the time starts afresh, the count does not. */
  accepted(): void {
    this.#sinceMs = null;
  }

  /** A result came: the server works, so the count starts afresh too. */
  progressed(): void {
    this.#failures = 0;
    this.#sinceMs = null;
  }

  /**
   * How long to pause before the next attempt, or null to give up. The pause is `Retry-After` and full jitter on top,
   * so that callers that were refused together do not come back together; all of it is capped.
   */
  delayAfter(error: MillraceError, nowMs: number): number | null {
    this.#failures += 1;
    this.#sinceMs ??= nowMs;
    if (!error.retryable || this.#failures >= this.#policy.attemptsMax) return null;
    const ceilingMs = Math.min(
      this.#policy.delayMs * 2 ** (this.#failures - 1),
      this.#policy.delayMsMax,
    );
    const askedMs = error.retryAfterMs ?? 0;
    const pauseMs = Math.min(askedMs + this.#random() * ceilingMs, this.#policy.delayMsMax);
    return nowMs + pauseMs - this.#sinceMs > this.#policy.totalMs ? null : pauseMs;
  }
}

/** `Retry-After` as seconds or as a date; undefined where it is missing or neither. */
export function parseRetryAfter(value: string | null, nowMs: number): number | undefined {
  if (value === null) return undefined;
  if (/^\s*\d+\s*$/.test(value)) return Number(value) * 1000;
  const atMs = Date.parse(value);
  return Number.isNaN(atMs) ? undefined : Math.max(0, atMs - nowMs);
}
