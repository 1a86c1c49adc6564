import { setImmediate as nextTurn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

/** Below it is not worth a collection of everything. */
const collectedBytesMin = 4 * 1024 * 1024;

/**
 * After something was read that nobody needs any more: V8 may keep it for long, and the model would be measured with it. Called
 * by one who never had it: what is on the stack, or in a function that still waits, is no garbage.
 */
export async function collectAfterReading(bytes: number): Promise<void> {
  if (bytes < collectedBytesMin) return;
  await nextTurn();
  setFlagsFromString("--expose-gc");
  const gc: unknown = runInNewContext("gc");
  if (typeof gc === "function") gc();
}
