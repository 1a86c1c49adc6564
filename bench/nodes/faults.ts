/** What happens to nodes in the storm: each fault has its end, and one node at least is well at any time. */
import { setTimeout as delay } from "node:timers/promises";
import type { Random } from "../../test/sim/random.js";
import type { BenchNode } from "./deployment.js";

const faultKinds = ["kill", "pause", "partition"] as const;
type FaultKind = (typeof faultKinds)[number];

export interface FaultTimes {
  /** Between two of them, about. */
  readonly everyMs: number;
  /** How long one lasts at most. */
  readonly lastsMsMax: number;
  readonly ms: number;
}

interface FaultCounts extends Record<FaultKind, number> {
  /** Nodes that ended by themselves, while they ran or before they were ready; they were started again. */
  died: number;
}

/** Resolves when the last one is over. Gives how many of each there were. */
export async function disturb(
  nodes: readonly BenchNode[],
  random: Random,
  { everyMs, lastsMsMax, ms }: FaultTimes,
): Promise<Readonly<FaultCounts>> {
  const counts: FaultCounts = { kill: 0, pause: 0, partition: 0, died: 0 };
  const hurt = new Map<BenchNode, Promise<void>>();
  const endAtMs = performance.now() + ms;
  const restart = async (node: BenchNode): Promise<void> => {
    counts.died += await node.startUntilReady();
  };
  const during = (node: BenchNode, fault: Promise<void>): void => {
    // One that fails stays there, and fails all of it at the end: what was started is ended then.
    const over = fault.then(() => void hurt.delete(node));
    over.catch(() => {});
    hurt.set(node, over);
  };
  for (;;) {
    await delay(everyMs * (0.5 + random.next()));
    if (performance.now() > endAtMs) break;
    for (const node of nodes.filter((each) => !hurt.has(each) && !each.isRunning)) {
      counts.died += 1;
      during(node, restart(node));
    }
    const well = nodes.filter((node) => !hurt.has(node));
    if (well.length < 2) continue;
    const node = random.pick(well);
    const kind = random.pick(faultKinds);
    const lastsMs = random.int(Math.min(200, lastsMsMax), lastsMsMax);
    counts[kind] += 1;
    during(node, faults[kind](node, { lastsMs, restart }));
  }
  await Promise.all(hurt.values());
  return counts;
}

interface FaultParts {
  readonly lastsMs: number;
  readonly restart: (node: BenchNode) => Promise<void>;
}

const faults: Readonly<Record<FaultKind, (node: BenchNode, parts: FaultParts) => Promise<void>>> = {
  kill: async (node, { lastsMs, restart }) => {
    await node.stop();
    await delay(lastsMs);
    await restart(node);
  },
  pause: async (node, { lastsMs }) => {
    node.signal("SIGSTOP");
    await delay(lastsMs);
    node.signal("SIGCONT");
  },
  partition: async ({ place }, { lastsMs }) => {
    await place.cut();
    await delay(lastsMs);
    await place.heal();
  },
};
