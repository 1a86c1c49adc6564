/**
 * Which node gets the next lot of a large request, and how large that is: pure. Lots are given out while they run, never all at once, so a
 * node that comes later gets its part, one that is lost loses little, and what is asked for meanwhile goes past.
 *
 *   node a  ████████ lot ████████ lot ██████ ████ ██ ┆      each node fills from when it is free;
 *   node b  ░░ other work ░░████ lot ████ ██████ ██ █┆      together they would be done at the level
 *   node c  ░░░░░░░░░░░░░ other work ░░░░░░░░░░░░░░░░┆░░    beyond the level: it would only be waited for
 *                                                  level
 *
 * A lot is half of what its node would do until the level: the nearer the end, the smaller, and nobody waits long for the slowest.
 */
import type { ChoosableNode } from "./choose-node.js";

export interface LotNode extends ChoosableNode {
  /** Of this request, that are there. */
  readonly lots: number;
  /** It has been seen how fast it does this request's items; before that it gets little. */
  readonly isKnown: boolean;
  /** As far as it has refused larger ones; else Infinity. */
  readonly itemsMax: number;
}

export interface ChosenLot<Node> {
  readonly node: Node;
  readonly items: number;
}

/** One runs, and the next one is there when it ends. */
const lotsOfNodeMax = 2;
const lotMs = { min: 250, unknown: 500, max: 2_000 } as const;
/** Fewer fill no batch, unless they take long by themselves. */
const lotItemsMin = 16;
const lotItemsMax = 4_096;
/** Estimates are no better than this. */
const toleranceMs = 5;
const tolerancePart = 0.1;

/** Whether so many items are worth more than one lot, there. */
export function isLarge(node: ChoosableNode, items: number): boolean {
  return items > lotItemsMin && items / rateOf(node) > 2 * lotMs.min;
}

/** Whether a request of so many goes to all of them, in lots: it is more than a moment of any. */
export function isLargeForAll(nodes: readonly ChoosableNode[], items: number): boolean {
  return nodes.length > 0 && nodes.every((node) => isLarge(node, items));
}

/** Null: whoever would be worth it has enough. `items`: those that nobody has; at least one. */
export function chooseLot<Node extends LotNode>(
  nodes: readonly Node[],
  items: number,
): ChosenLot<Node> | null {
  const all = nodes.map((node) => {
    const freeMs = node.waitMs + node.loadMs;
    const rate = rateOf(node);
    const least = Math.min(items, node.itemsMax, leastOf(rate));
    return { node, freeMs, rate, least, leastEndMs: freeMs + least / rate };
  });
  const levelMs = levelOf(all, items);
  const soonestMs = Math.min(...all.map(({ leastEndMs }) => leastEndMs));
  const endMsMax = Math.max(levelMs, soonestMs) * (1 + tolerancePart) + toleranceMs;
  const [first] = all
    .filter(({ node, leastEndMs }) => node.lots < lotsOfNodeMax && leastEndMs <= endMsMax)
    .sort((left, right) => left.freeMs - right.freeMs);
  if (first === undefined) return null;
  const { node, freeMs, rate, least } = first;
  const ms = Math.min((levelMs - freeMs) / 2, node.isKnown ? lotMs.max : lotMs.unknown);
  const wanted = Math.min(lotItemsMax, Math.max(least, Math.floor(ms * rate)));
  return { node, items: Math.min(items, node.itemsMax, wanted) };
}

interface Free {
  readonly freeMs: number;
  /** Items that it does in a millisecond. */
  readonly rate: number;
}

/** When all would be done, if each began where it is free and none waited for another. */
function levelOf(nodes: readonly Free[], items: number): number {
  let rate = 0;
  let weighted = 0;
  let levelMs = Infinity;
  for (const each of nodes.toSorted((left, right) => left.freeMs - right.freeMs)) {
    if (each.freeMs >= levelMs) break;
    rate += each.rate;
    weighted += each.rate * each.freeMs;
    levelMs = (items + weighted) / rate;
  }
  return levelMs;
}

function leastOf(rate: number): number {
  const ofMin = Math.ceil(lotMs.min * rate);
  const ofMax = Math.max(1, Math.floor(lotMs.unknown * rate));
  return Math.max(ofMin, Math.min(lotItemsMin, ofMax));
}

function rateOf({ itemMs, pipelines }: ChoosableNode): number {
  return Math.max(1, pipelines) / Math.max(itemMs, 1e-3);
}
