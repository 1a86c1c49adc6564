/** Work of a request that takes long, step by step: others have a turn in between. */
import { setImmediate } from "node:timers/promises";

/** What is shorter is done without a pause. */
const turnMs = 5;

/** Runs a generator to its end; it yields where it may be left for a while, every millisecond or so. */
export async function inTurns<Result>(steps: Generator<undefined, Result>): Promise<Result> {
  let sinceMs = performance.now();
  for (;;) {
    const next = steps.next();
    if (next.done === true) return next.value;
    if (performance.now() - sinceMs < turnMs) continue;
    await setImmediate();
    sinceMs = performance.now();
  }
}
