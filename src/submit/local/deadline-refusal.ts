/**
 * Whether a request's deadline can still be met: what nobody could finish by then is refused while the caller can still do something else.
 * The estimate is of what surely goes before it (scheduler/least-wait.ts), and it must be so many times too late, for machines
 * become faster: others' work ends, longer texts make way for shorter ones.
 */
import { MillraceError } from "millrace-client/wire";

const safety = 2;
const retryAfterMsMin = 100;
const retryAfterMsMax = 60_000;

/** `waitMs`: until anything of it could be begun; `leftMs`: until its deadline. Null: it is let in. */
export function deadlineRefusal({
  waitMs,
  leftMs,
}: {
  readonly waitMs: number;
  readonly leftMs: number;
}): MillraceError | null {
  // What is over already has its own word.
  if (leftMs <= 0 || waitMs <= safety * leftMs) return null;
  const retryAfterMs = Math.min(retryAfterMsMax, Math.max(retryAfterMsMin, waitMs - leftMs));
  const message = `about ${inSeconds(waitMs)} of work wait before it, and it is to be finished in ${inSeconds(leftMs)}: send it again later, or allow more time`;
  return new MillraceError("deadline_too_soon", message, {
    retryAfterMs: Math.round(retryAfterMs),
  });
}

function inSeconds(ms: number): string {
  return `${(ms / 1_000).toFixed(1)} s`;
}
