import type { WorkClass } from "millrace-client/wire";
import type { ModelState } from "./model-state.js";
import type { Policy } from "./policy.js";
import { rankOf } from "./rank.js";

/** A request that is not queued yet. */
export interface Newcomer {
  readonly model: string;
  readonly class: WorkClass;
  /** Of all its items. */
  readonly rows: number;
  /** On the scheduler's clock. */
  readonly deadlineAtMs: number;
}

/**
 * Milliseconds in which nothing of a request that came now could be begun: what it takes to be through with that which goes before it
 * whoever it is of, and however long. 0 where that is not known.
 *
 * ```
 *   queue of its rank   ▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓▓░░░░░░░░ ◄─ newcomer
 *                       over the age limit  younger: it may pass these, by its tenant's share, its size or its length
 * ```
 * What is over the age limit goes first, so all of it that there is now goes before. With several batch keys that holds only until the
 * newcomer is over the limit itself: then it may ride along with an older one of its key. What leaves at its own deadline before that of the
 * newcomer does not count.
 */
export function leastWaitMs(
  model: ModelState,
  newcomer: Newcomer,
  of: { readonly policy: Policy; readonly largeRows: number; readonly nowMs: number },
): number {
  const { policy, largeRows, nowMs } = of;
  if (!policy.agedFirst) return 0;
  const queue = model.queues[rankOf({ class: newcomer.class, items: [newcomer] }, largeRows)];
  const aged = queue.effort - queue.younger(nowMs);
  if (aged <= 0) return 0;
  const goesBefore = aged - queue.deadlines.until(newcomer.deadlineAtMs);
  if (goesBefore <= 0) return 0;
  const pipelines = model.serving(newcomer.class) + model.place.comingTo.size;
  if (pipelines === 0) return 0;
  const waitMs = model.throughput.expectedMs(goesBefore) / pipelines;
  return queue.keys > 1 ? Math.min(waitMs, model.ageLimitMs) : waitMs;
}
