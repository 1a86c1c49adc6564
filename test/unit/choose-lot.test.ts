import assert from "node:assert/strict";
import { test } from "node:test";
import { chooseLot, isLarge, type LotNode } from "#src/nats/choose-lot.js";

function node(instance: string, more: Partial<LotNode> = {}): LotNode {
  const idle = { isLocal: false, waitMs: 0, loadMs: 0, itemMs: 10, pipelines: 1 };
  return { instance, ...idle, lots: 0, isKnown: true, itemsMax: Infinity, ...more };
}

function chosen(items: number, ...nodes: readonly LotNode[]): string {
  const lot = chooseLot(nodes, items);
  return lot === null ? "nobody" : `${lot.node.instance} ${lot.items}`;
}

test("to who is free first, half of what it would do until all are done", () => {
  assert.equal(chosen(120, node("a", { waitMs: 100 }), node("b")), "b 32");
  assert.equal(chosen(10_000, node("a")), "a 200", "two seconds at the most");
  assert.equal(chosen(10_000, node("a", { pipelines: 4 })), "a 800");
  assert.equal(chosen(10_000, node("a", { isKnown: false })), "a 50", "little, until it is known");
  assert.equal(chosen(10_000, node("a", { itemsMax: 9 })), "a 9");
  assert.equal(chosen(10_000, node("a", { itemMs: 0 })), "a 4096");
  assert.equal(chosen(3, node("a", { itemMs: 0.1 })), "a 3");
  assert.equal(chosen(40, node("a", { itemMs: 3_000 })), "a 1", "an item by itself is a lot");
});

test("two lots at each node, and none to whom all would only wait for", () => {
  assert.equal(chosen(1_000, node("a", { lots: 2 }), node("b", { lots: 1 })), "b 200");
  assert.equal(chosen(1_000, node("a", { lots: 2 })), "nobody");
  assert.equal(chosen(1_000), "nobody");
  const slow = node("slow", { itemMs: 500 });
  assert.equal(chosen(30, node("a", { lots: 2, waitMs: 20 }), slow), "nobody", "a is done before");
  assert.equal(chosen(10_000, node("a", { lots: 2, waitMs: 2_000 }), slow), "slow 4");
  const loading = node("loads", { loadMs: 30_000 });
  assert.equal(chosen(1_000, node("a", { lots: 2 }), loading), "nobody");
  assert.equal(chosen(10_000, node("a", { lots: 2 }), loading), "loads 200");
});

test("what one lot is enough for goes whole", () => {
  assert.equal(isLarge(node("a"), 51), true);
  assert.equal(isLarge(node("a"), 50), false);
  assert.equal(isLarge(node("a", { pipelines: 8 }), 300), false);
  assert.equal(isLarge(node("a", { itemMs: 900 }), 16), false);
});

interface SimNode {
  readonly itemMs: number;
  readonly fromMs?: number;
}

/** Each does lot after lot at its own pace; those who choose look when one ends, and know how fast each is. */
function simulate(items: number, nodes: readonly SimNode[]) {
  const busyUntilMs = nodes.map(({ fromMs = 0 }) => fromMs);
  const ends: { readonly at: number; readonly ms: number }[] = [];
  const lots = nodes.map(() => 0);
  let rest = items;
  let largest = 0;
  for (let nowMs = 0; rest > 0 || ends.length > 0; ) {
    const there = nodes.flatMap(({ itemMs, fromMs = 0 }, at) => {
      if (fromMs > nowMs) return [];
      const waitMs = Math.max(0, (busyUntilMs[at] ?? 0) - nowMs);
      return [node(String(at), { itemMs, waitMs, lots: lots[at] ?? 0 })];
    });
    const lot = rest === 0 ? null : chooseLot(there, rest);
    if (lot !== null) {
      const at = Number(lot.node.instance);
      rest -= lot.items;
      largest = Math.max(largest, lot.items * lot.node.itemMs);
      const ms = Math.max(nowMs, busyUntilMs[at] ?? 0) + lot.items * lot.node.itemMs;
      busyUntilMs[at] = ms;
      lots[at] = (lots[at] ?? 0) + 1;
      ends.push({ at, ms });
      continue;
    }
    ends.sort((left, right) => left.ms - right.ms);
    const end = ends.shift();
    assert(end !== undefined, "somebody has something of it");
    nowMs = end.ms;
    lots[end.at] = (lots[end.at] ?? 0) - 1;
  }
  return { ms: Math.max(...busyUntilMs), largest };
}

test("nodes of any pace end together, and one that comes later takes its part", () => {
  const shapes: readonly (readonly SimNode[])[] = [
    [{ itemMs: 4 }, { itemMs: 4 }, { itemMs: 4 }],
    [{ itemMs: 4 }, { itemMs: 4 }, { itemMs: 90 }],
    [{ itemMs: 3 }, { itemMs: 11 }, { itemMs: 25 }],
    [{ itemMs: 4 }, { itemMs: 4, fromMs: 5_000 }],
  ];
  for (const nodes of shapes) {
    const { ms, largest } = simulate(15_000, nodes);
    const rate = nodes.reduce((sum, { itemMs }) => sum + 1 / itemMs, 0);
    const before = nodes.reduce((sum, { itemMs, fromMs = 0 }) => sum + fromMs / itemMs, 0);
    const ideal = (15_000 + before) / rate;
    const told = `${JSON.stringify(nodes)}: ${ms} ms, ${ideal} at the best`;
    assert(ms < 1.03 * ideal, told);
    assert(largest <= 2_000, told);
  }
});
