/** What happens to nodes in the storm: each fault has its end, and one node at least is well at any time. */
import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "../../test/sim/random.js";
import type { BenchNode } from "./deployment.js";

export const faultKinds = ["kill", "pause", "partition"] as const;
type FaultKind = (typeof faultKinds)[number];

export interface FaultTimes {
  /** Between two of them, about. */
  readonly everyMs: number;
  /** How long one lasts at most. */
  readonly lastsMsMax: number;
  readonly ms: number;
}

/** Resolves when the last one is over. Gives how many of each there were. */
export async function disturb(
  nodes: readonly BenchNode[],
  random: Random,
  { everyMs, lastsMsMax, ms }: FaultTimes,
): Promise<Readonly<Record<FaultKind, number>>> {
  const counts = { kill: 0, pause: 0, partition: 0 };
  const hurt = new Map<BenchNode, Promise<void>>();
  const endAtMs = performance.now() + ms;
  for (;;) {
    await delay(everyMs * (0.5 + random.next()));
    if (performance.now() > endAtMs) break;
    const well = nodes.filter((node) => !hurt.has(node));
    if (well.length < 2) continue;
    const node = random.pick(well);
    const kind = random.pick(faultKinds);
    const lastsMs = random.int(Math.min(200, lastsMsMax), lastsMsMax);
    counts[kind] += 1;
    const over = faults[kind](node, lastsMs).finally(() => hurt.delete(node));
    hurt.set(node, over);
  }
  await Promise.all(hurt.values());
  return counts;
}

const faults: Readonly<Record<FaultKind, (node: BenchNode, lastsMs: number) => Promise<void>>> = {
  kill: async (node, lastsMs) => {
    await node.stop();
    await delay(lastsMs);
    await node.start();
    await node.url();
  },
  pause: async (node, lastsMs) => {
    node.signal("SIGSTOP");
    await delay(lastsMs);
    node.signal("SIGCONT");
  },
  partition: async ({ place }, lastsMs) => {
    await place.cut();
    await delay(lastsMs);
    await place.heal();
  },
};
