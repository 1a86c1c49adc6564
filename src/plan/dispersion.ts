/**
 * How much the number of open requests varies: its variance in time, beside its mean. Requests that come by chance have 1 (Poisson), and more
 * where they queue; callers who wait for their answers are never more than they are, and nearly all of them at a time: far below 1.
 */
import type { RecordedCall } from "./recorded-load.js";

/** The load begins and ends at some time: of what lies between its first and last request so much is left out at both ends. */
const edgeShare = 0.05;

/** 1 where there is too little to tell. */
export function dispersionOf(
  calls: readonly Pick<RecordedCall, "atMs" | "endMs">[],
  lengthMs: number,
): number {
  const beganMs = calls[0]?.atMs ?? 0;
  const spanMs = (calls.at(-1)?.atMs ?? 0) - beganMs;
  const fromMs = beganMs + edgeShare * spanMs;
  const toMs = beganMs + (1 - edgeShare) * spanMs;
  const ends = Float64Array.from(calls, ({ endMs }) => endMs ?? lengthMs).sort();
  let [open, ended, atMs, sum, squares] = [0, 0, fromMs, 0, 0];
  const passTo = (nextMs: number): void => {
    const ms = Math.min(nextMs, toMs) - atMs;
    if (ms <= 0) return;
    atMs += ms;
    sum += ms * open;
    squares += ms * open * open;
  };
  for (const call of calls) {
    for (let endMs = ends[ended]; endMs !== undefined && endMs <= call.atMs; endMs = ends[ended]) {
      passTo(endMs);
      open -= 1;
      ended += 1;
    }
    passTo(call.atMs);
    open += 1;
  }
  const mean = sum / (toMs - fromMs);
  return mean > 0 ? (squares / (toMs - fromMs) - mean * mean) / mean : 1;
}
