import assert from "node:assert/strict";
import { test } from "node:test";
import { Backlog } from "#src/nats/backlog.js";
import { type ChoosableNode, chooseNode, costOf } from "#src/nats/choose-node.js";
import { estimateQueue } from "#src/nats/queue-estimate.js";
import { Random } from "../sim/random.js";

function node(instance: string, more: Partial<ChoosableNode> = {}): ChoosableNode {
  const idle = { isLocal: false, waitMs: 0, loadMs: 0, itemMs: 20, pipelines: 1 };
  return { instance, ...idle, ...more };
}

const first = { items: 1, random: () => 0 };

test("who would take it soonest; resident before a load", () => {
  const chosen = (...nodes: readonly ChoosableNode[]): string | undefined =>
    chooseNode(nodes, first)?.instance;
  assert.equal(chosen(), undefined);
  assert.equal(chosen(node("a", { waitMs: 100 }), node("b")), "b");
  assert.equal(chosen(node("a", { loadMs: 900 }), node("b", { waitMs: 300 })), "b");
  assert.equal(chosen(node("a", { loadMs: 900 }), node("b", { waitMs: 3_000 })), "a");
  assert.equal(chosen(node("a", { itemMs: 90 }), node("b", { waitMs: 50 })), "b");
  assert.equal(chosen(node("a", { itemMs: 90, pipelines: 8 }), node("b", { waitMs: 50 })), "a");
});

test("locally where that is as good, and elsewhere where it is not", () => {
  const local = node("here", { isLocal: true, waitMs: 6 });
  const random = (): number => 0.99;
  assert.equal(chooseNode([node("a"), local], { items: 1, random })?.instance, "here");
  const busy = { ...local, waitMs: 60 };
  assert.equal(chooseNode([node("a"), busy], { items: 1, random })?.instance, "a");
});

test("among those that are about as good one is drawn", () => {
  const nodes = [node("a"), node("b", { waitMs: 2 }), node("c", { waitMs: 500 })];
  const drawn = [0, 0.4, 0.6, 0.999].map(
    (value) => chooseNode(nodes, { items: 1, random: () => value })?.instance,
  );
  assert.deepEqual(drawn, ["a", "a", "b", "b"]);
});

interface SimOptions {
  readonly seed: number;
  readonly nodes: number;
  readonly edges: number;
  /** Of what the nodes can do. */
  readonly load: number;
  /** Only what each node said last. */
  readonly isNaive?: boolean;
  readonly choose: (nodes: readonly ChoosableNode[], random: () => number) => ChoosableNode | null;
}

/**
 * Edges that hear of each node once a second send items of a made arrival stream to nodes of one pipeline each; the waits that come of it.
 * Everything is drawn from the seed.
 */
function simulate({
  seed,
  nodes: count,
  edges,
  load,
  choose,
  isNaive = false,
}: SimOptions): number[] {
  const random = new Random(seed);
  const itemMs = 20;
  const freeAtMs = Array.from({ length: count }, () => 0);
  const phaseMs = freeAtMs.map(() => random.int(0, 999));
  const known = Array.from({ length: edges }, () =>
    freeAtMs.map(() => ({ backlog: new Backlog(), saidMs: 0, heardAtMs: -1 })),
  );
  const waits: number[] = [];
  const gapMs = itemMs / (count * load);
  for (let nowMs = 0; nowMs < 60_000; nowMs += random.gap(gapMs)) {
    const edge = known[random.int(0, edges - 1)] ?? [];
    for (const [at, view] of edge.entries()) {
      // The last whole second of that node's own clock.
      const saidAtMs =
        Math.floor((nowMs - (phaseMs[at] ?? 0)) / 1_000) * 1_000 + (phaseMs[at] ?? 0);
      if (saidAtMs <= view.heardAtMs) continue;
      view.heardAtMs = saidAtMs;
      view.saidMs = Math.max(0, (freeAtMs[at] ?? 0) - nowMs);
      view.backlog.said(view.saidMs, nowMs);
    }
    const choice = choose(
      edge.map(({ backlog, saidMs }, at) => {
        return node(String(at), { itemMs, waitMs: isNaive ? saidMs : backlog.at(nowMs) });
      }),
      () => random.next(),
    );
    const at = Number(choice?.instance ?? 0);
    const begin = Math.max(nowMs, freeAtMs[at] ?? 0);
    waits.push(begin - nowMs);
    freeAtMs[at] = begin + itemMs;
    edge[at]?.backlog.sent(itemMs, edges, nowMs);
  }
  return waits.toSorted((left, right) => left - right);
}

function at(part: number, waits: readonly number[]): number {
  return waits[Math.floor(waits.length * part)] ?? 0;
}

for (const seed of [1, 2, 3, 4, 5]) {
  test(`of news that is a second old no herd comes: seed ${seed}`, () => {
    const shape = { seed, nodes: 8, edges: 4, load: 0.7 };
    const ours = simulate({
      ...shape,
      choose: (nodes, random) => chooseNode(nodes, { items: 1, random }),
    });
    const byChance = simulate({
      ...shape,
      choose: (nodes, random) => nodes[Math.floor(random() * nodes.length)] ?? null,
    });
    const herd = simulate({
      ...shape,
      isNaive: true,
      choose: (nodes) => nodes.toSorted((left, right) => left.waitMs - right.waitMs)[0] ?? null,
    });
    const told = `p99 ${at(0.99, ours)} ms, by chance ${at(0.99, byChance)}, all to the one that said least ${at(0.99, herd)}`;
    assert(at(0.99, ours) < at(0.99, byChance), told);
    assert(at(0.99, ours) < at(0.99, herd) / 2, told);
  });
}

test("what a node reckons: what is queued and what runs, over the pipelines that are up", () => {
  const up = { state: "ready", items: { inFlight: 0, done: 0, failed: 0 }, doing: null };
  const queue = { class: "realtime", units: 0, bytes: 0, requests: 1, tenants: 1, oldestWaitMs: 0 };
  const stage = { stage: "s", runs: 1, rows: 1, units: 1, paddedUnits: 1 };
  const estimate = (pipelines: readonly object[], queues: readonly object[] = []) =>
    estimateQueue(
      {
        pipelines,
        queues,
        stages: [
          { model: "m", ...stage, ms: 300 },
          { model: "m", ...stage, ms: 100 },
        ],
      } as never,
      [
        { model: "m", inputs: 40 },
        { model: "new", inputs: 0 },
      ],
    );
  assert.deepEqual(estimate([up, up]).waits, { realtimeMs: 0, bulkMs: 0 });
  const { waits, itemMs, pipelines } = estimate(
    [
      up,
      { ...up, doing: { predictedMs: 8, forMs: 3 }, items: { ...up.items, inFlight: 4 } },
      { ...up, state: "backing-off" },
    ],
    [
      { ...queue, model: "m", items: 6 },
      { ...queue, model: "m", class: "bulk", items: 20 },
    ],
  );
  assert.equal(pipelines, 2);
  assert.equal(itemMs("m"), 10);
  assert.equal(itemMs("new"), 0, "nobody knows yet");
  assert.deepEqual(waits, { realtimeMs: (60 + 20) / 2, bulkMs: (60 + 200 + 40) / 2 });
  assert.equal(costOf(node("a", { waitMs: 5, itemMs: 10, pipelines: 2 }), 4), 25);
});
