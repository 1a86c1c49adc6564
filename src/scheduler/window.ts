/**
 * The window: whether it pays to keep a pipeline waiting for a fuller batch. Most of the time it does not: batches fill
 * while the pipelines are busy. It pays when the next request is due before the present ones would be through, because
 * then it would otherwise wait for them and need a run of its own.
 */
export interface WindowInput {
  readonly items: number;
  /** Expected service of the batch as it stands. */
  readonly runMs: number;
  /** Longest wait of an item in it. */
  readonly waitedMs: number;
  /** Expected time between two requests, and items in one; `Infinity` when nothing is known. */
  readonly gapMs: number;
  readonly arrivalItems: number;
  /** Expected time until the pipeline could start the batch; 0: it idles. */
  readonly busyMs: number;
  readonly windowMsMax: number;
}

/** Time for the batch to reach the child before the run in front of it ends. */
const handoverMs = 5;
/** Shorter waits than this are not worth a timer. */
const waitMsMin = 0.25;

/** Milliseconds to wait before asking again; 0: send now. */
export function windowMs(input: WindowInput): number {
  const { gapMs, windowMsMax, waitedMs } = input;
  const leftMs = windowMsMax - waitedMs;
  if (!Number.isFinite(gapMs) || leftMs < waitMsMin) return 0;
  const freeMs = input.busyMs - handoverMs;
  if (input.busyMs > 0) {
    // Waiting costs nothing until the run in front ends, but gains only if somebody comes meanwhile.
    return freeMs >= waitMsMin && gapMs < freeMs ? Math.min(leftMs, freeMs) : 0;
  }
  const lostMs = input.items * gapMs;
  const savedMs = input.arrivalItems * input.runMs;
  if (lostMs >= savedMs) return 0;
  return Math.max(waitMsMin, Math.min(leftMs, 2 * gapMs));
}
