/** Waiting for what can be seen, where nobody tells of it. */
import { setTimeout as delay } from "node:timers/promises";

const lookAgainMs = 10;
/** Who waits long looks less often: a look is a request to a server as a rule, and most of these wait for something to start. */
const lookAgainMsMax = 25;
const looksPerWait = 20;
/** Below the timeouts of tests, which say nothing of what was waited for and leave processes behind. */
const lookMsMax = 50_000;

/** Looks again and again until there is something to see; throws, with `look` as it is written, where nothing comes. */
export async function until<T>(
  look: () => Promise<T | null | false> | T | null | false,
): Promise<T> {
  const sinceMs = performance.now();
  for (;;) {
    const seen = await look();
    if (seen !== null && seen !== false) return seen;
    const waitedMs = performance.now() - sinceMs;
    if (waitedMs > lookMsMax) throw new Error(`not seen in ${lookMsMax} ms: ${look.toString()}`);
    await delay(Math.max(lookAgainMs, Math.min(waitedMs / looksPerWait, lookAgainMsMax)));
  }
}
