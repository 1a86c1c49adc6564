/** Whether work waits for pipelines, which several rules begin with. */
import type { WorkClass } from "millrace-client/wire";
import type { Figures } from "./figures.js";
import { untoldRealtimeTargetMs } from "./untold-options.js";

/** Of the time of pipelines; they tell what they ran once a second. */
export const busyShareMin = 0.7;
/** Of the looks in which they had something. */
const occupiedShareMin = 0.9;

export function realtimeTargetMs({ after }: Pick<Figures, "after">): number {
  return after.limits?.realtimeTargetMs ?? untoldRealtimeTargetMs;
}

/** Pipelines have hardly been without work. */
export function areBusy({ busyShare, occupiedShare, pipelines }: Figures): boolean {
  if (pipelines.length === 0) return false;
  return busyShare >= busyShareMin || occupiedShare >= occupiedShareMin;
}

/** Something of the class waited in most looks and does so now. */
export function isWaiting({ classes }: Figures, workClass: WorkClass): boolean {
  const { queuedItems, queuedShare } = classes[workClass];
  return queuedItems > 0 && queuedShare >= 0.6;
}

/** Realtime waits for longer than it should. */
export function isRealtimeLate(figures: Figures): boolean {
  const { finished, queueMs, oldestWaitMs } = figures.classes.realtime;
  const targetMs = realtimeTargetMs(figures);
  if (!isWaiting(figures, "realtime")) return false;
  const meanMs = finished === 0 ? 0 : queueMs / finished;
  return meanMs > targetMs || oldestWaitMs > 2 * targetMs;
}

/** More came than ended in both halves of the window, and the queue grew by it. */
export function isQueueGrowing({ halves, samples }: Figures): boolean {
  if (samples.length < 3) return false;
  return halves.every(
    ({ arrivedItems, endedItems, grownItems }) =>
      grownItems >= 2 && grownItems >= 0.1 * arrivedItems && arrivedItems > 1.1 * endedItems,
  );
}
