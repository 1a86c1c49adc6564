/**
 * Which node gets a request: pure, of what each said last and of what was sent to it since. Resident first, for a load counts as a wait;
 * then who would take it soonest; locally where that is as good, because a hop is not for nothing. Several edges look at what is up to a
 * second old: among those that are about as good one is drawn, or all of them would run to the same.
 */
export interface ChoosableNode {
  readonly instance: string;
  readonly isLocal: boolean;
  /** Until it would begin something of the request's class (backlog.ts). */
  readonly waitMs: number;
  /** 0 where the model is resident. */
  readonly loadMs: number;
  readonly itemMs: number;
  readonly pipelines: number;
}

export interface NodeChoice {
  /** Of the request. */
  readonly items: number;
  /** From 0 to 1. */
  readonly random: () => number;
}

/** What a hop takes at the most in a healthy network. */
const hopMs = 2;
/** Waits that differ by less are about as good: estimates are no better than this. */
const toleranceMs = 5;
const tolerancePart = 0.1;

/** Null where there is none. */
export function chooseNode<Node extends ChoosableNode>(
  nodes: readonly Node[],
  choice: NodeChoice,
): Node | null {
  const costs = nodes.map((node) => ({ node, costMs: costOf(node, choice.items) }));
  let leastMs = Infinity;
  for (const { costMs } of costs) leastMs = Math.min(leastMs, costMs);
  const enoughMs = leastMs * (1 + tolerancePart) + toleranceMs;
  const local = costs.find(({ node }) => node.isLocal);
  if (local !== undefined && local.costMs <= enoughMs + hopMs) return local.node;
  const good = costs.filter(({ costMs }) => costMs <= enoughMs);
  return good[Math.min(good.length - 1, Math.floor(choice.random() * good.length))]?.node ?? null;
}

/** Until the last of the request's items would be done there. */
export function costOf(node: ChoosableNode, items: number): number {
  const { waitMs, loadMs, itemMs, pipelines } = node;
  return waitMs + loadMs + (items * itemMs) / Math.max(1, pipelines);
}
