/** Requests of a sentence each that come by chance, the same for each seed. */
import { byChance } from "../harness/arrivals.js";
import { openLoop } from "../harness/open-loop.js";

/** The same requests whatever `times` is: so many times as fast. */
export async function sendByChance(
  url: string,
  of: {
    readonly perSecond: number;
    readonly ms: number;
    readonly seed: number;
    readonly times: number;
    readonly lines: readonly string[];
  },
): Promise<void> {
  const { ms, seed, times, lines, perSecond } = of;
  const arrivals = byChance({ perSecond, ms, seed }).map((dueMs, at) => {
    const text = lines[(at * (seed + 1)) % lines.length];
    return { dueMs: dueMs / times, body: JSON.stringify({ texts: [text] }) };
  });
  await openLoop({ url, path: "/v1/translate", arrivals, connections: 8, replies: false });
}
