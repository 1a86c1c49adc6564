/** How long a pipeline waits before its next process: doubling, with jitter, so that pipelines do not start in step. */
export interface BackoffOptions {
  readonly backoffMinMs: number;
  readonly backoffMaxMs: number;
  /** Uniform in [0, 1); tests seed it. */
  readonly random: () => number;
}

/** No wait is longer than this doubles the shortest one; the power stays a number. */
const doublingsMax = 40;

/** `failures` counts the lives in a row that were of no use, from 1. The wait is between half and all of the doubled one. */
export function backoffMs(failures: number, options: BackoffOptions): number {
  const { backoffMinMs, backoffMaxMs, random } = options;
  const doubled = Math.min(backoffMaxMs, backoffMinMs * 2 ** Math.min(failures - 1, doublingsMax));
  return doubled * (0.5 + 0.5 * random());
}
