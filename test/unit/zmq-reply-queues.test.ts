import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { setTimeout as delay, setImmediate as turn } from "node:timers/promises";
import { ReplyQueues } from "#src/listen/zmq/reply-queues.js";
import { until } from "../support/real-server.js";

interface Made {
  readonly queues: ReplyQueues;
  readonly sent: string[];
  readonly subscribed: Set<string>;
  /** Topics whose subscribers have no room. */
  readonly full: Set<string>;
  readonly dropped: { count: number };
}

interface Limits {
  readonly topicBytesMax?: number;
  readonly bytesMax?: number;
  readonly readMs?: number;
  readonly holdMs?: number;
}

function make(limits: Limits = {}): Made {
  const sent: string[] = [];
  const subscribed = new Set<string>();
  const full = new Set<string>();
  const dropped = { count: 0 };
  const queues = new ReplyQueues({
    topicBytesMax: 1_000_000,
    bytesMax: 1_000_000,
    holdMs: 60_000,
    readMs: 60_000,
    ...limits,
    isSubscribed: (topic) => subscribed.has(topic),
    isOverheard: () => false,
    isShared: () => false,
    send: async ([topic, what]) => {
      await Promise.resolve();
      if (full.has(String(topic))) return false;
      sent.push(`${String(topic)} ${String(what)}`);
      return true;
    },
    setLossy: () => {},
    onDropped: (_, replies) => {
      dropped.count += replies;
    },
    onFailed: (error) => assert.fail(String(error)),
  });
  return { queues, sent, subscribed, full, dropped };
}

test("defect: a reply that comes just as the last one has gone is sent as well", async () => {
  for (let microtasks = 0; microtasks < 16; microtasks += 1) {
    const { queues, sent, subscribed } = make();
    subscribed.add("a");
    queues.publish("a", ["a", "1"]);
    for (let at = 0; at < microtasks; at += 1) await Promise.resolve();
    queues.publish("a", ["a", "2"]);
    await turn();
    assert.deepEqual(sent, ["a 1", "a 2"], `${microtasks} microtasks later`);
    queues.close();
  }
});

test("whoever subscribes, is full or leaves when: each reply is sent once in its topic's order, or counted", async () => {
  for (let seed = 1; seed <= 60; seed += 1) {
    const { queues, sent, subscribed, full, dropped } = make({ topicBytesMax: 40, bytesMax: 100 });
    let state = seed;
    const below = (bound: number): number => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      return Math.floor((state / 2 ** 32) * bound);
    };
    const topics = ["a", "b", "c", "d"];
    let published = 0;
    for (let step = 0; step < 100; step += 1) {
      const topic = topics[below(topics.length)] ?? "a";
      switch (below(8)) {
        case 0:
          subscribed.add(topic);
          queues.subscribed(topic);
          break;
        case 1:
          subscribed.delete(topic);
          queues.left(topic, performance.now() - below(2));
          break;
        case 2:
          full.add(topic);
          break;
        case 3:
          full.delete(topic);
          break;
        case 4:
          for (let tasks = below(5); tasks > 0; tasks -= 1) await Promise.resolve();
          break;
        case 5:
          await turn();
          break;
        default:
          published += 1;
          queues.publish(topic, [topic, String(published).padStart(9, "0")]);
      }
      // One more is in the socket's hand, and may come back.
      assert.ok(queues.heldBytes <= 110, `seed ${seed}`);
    }
    full.clear();
    for (const topic of topics) {
      subscribed.add(topic);
      queues.subscribed(topic);
    }
    await until(() => sent.length + dropped.count === published);
    await queues.idle();
    for (const topic of topics) {
      const own = sent.filter((each) => each.startsWith(topic));
      assert.deepEqual(own, own.toSorted(), `seed ${seed}: in order`);
    }
    assert.equal(new Set(sent).size, sent.length, `seed ${seed}: once`);
    assert.equal(queues.heldBytes, 0);
    queues.close();
  }
});

test("defect: a reply that is dropped for its bytes leaves a small one in its place, in its order", async () => {
  const big = "x".repeat(1_000);
  const { queues, sent, subscribed, full, dropped } = make({
    topicBytesMax: 2_500,
    bytesMax: 4_000,
  });
  for (const topic of ["a", "b"]) {
    subscribed.add(topic);
    full.add(topic);
  }
  const instead = (topic: string, id: number): { instead: readonly string[] } => ({
    instead: [topic, `${id} dropped`],
  });
  for (let id = 1; id <= 4; id += 1) {
    queues.publish("a", ["a", `${id} ${big}`], instead("a", id));
    // The first one comes back from the socket.
    await turn();
  }
  // Then the others have no room beside these.
  queues.publish("b", ["b", `1 ${big}`], instead("b", 1));
  await turn();
  queues.publish("b", ["b", `2 ${big}`], instead("b", 2));
  queues.publish("b", ["b", "3 small"]);
  assert.ok(queues.heldBytes <= 4_000 + 1_100);
  full.clear();
  await queues.idle();
  const shown = sent.map((each) => each.replace(big, "whole"));
  assert.deepEqual(
    shown.filter((each) => each.startsWith("a")),
    ["a 1 dropped", "a 2 dropped", "a 3 dropped", "a 4 whole"],
  );
  assert.deepEqual(
    shown.filter((each) => each.startsWith("b")),
    ["b 1 whole", "b 2 whole", "b 3 small"],
  );
  assert.equal(dropped.count, 3);
  queues.close();
});

test("defect: a reply that its reader left for too long leaves a small one, and that ends too", async () => {
  const { queues, sent, subscribed, full, dropped } = make({ readMs: 30 });
  subscribed.add("a");
  full.add("a");
  queues.publish("a", ["a", "whole"], { instead: ["a", "dropped"] });
  await until(() => dropped.count === 1);
  full.clear();
  await queues.idle();
  assert.deepEqual(sent, ["a dropped"]);
  full.add("a");
  queues.publish("a", ["a", "whole"], { instead: ["a", "dropped"] });
  await queues.idle();
  assert.equal(dropped.count, 3);
  queues.close();
});

test("defect: what a client had no room for goes to the one who comes in its place", async () => {
  const { queues, sent, subscribed, full } = make();
  subscribed.add("a");
  full.add("a");
  queues.publish("a", ["a", "1"]);
  await turn();
  subscribed.delete("a");
  // Longer than the socket is left alone.
  await delay(20);
  full.clear();
  subscribed.add("a");
  queues.subscribed("a");
  await queues.idle();
  assert.deepEqual(sent, ["a 1"]);
  queues.close();
});

test("defect: what came when somebody had just left is held for who comes next", async () => {
  const { queues, sent, subscribed, dropped } = make();
  queues.publish("a", ["a", "before"]);
  const leftMs = performance.now();
  await delay(2);
  queues.publish("a", ["a", "after"]);
  queues.left("a", leftMs);
  assert.equal(dropped.count, 1);
  subscribed.add("a");
  queues.subscribed("a");
  await queues.idle();
  assert.deepEqual(sent, ["a after"]);
  queues.close();
});

test("defect: a first reply that went to who is leaving goes to who comes in its place as well, for as long as it is held", async () => {
  let nowMs = performance.now();
  const clock = mock.method(performance, "now", () => nowMs);
  try {
    const { queues, sent, subscribed } = make({ holdMs: 200 });
    subscribed.add("a");
    queues.publish("a", ["a", "first"], { audience: "newcomers" });
    queues.publish("a", ["a", "second"]);
    await queues.idle();
    subscribed.delete("a");
    queues.left("a", nowMs);
    subscribed.add("a");
    queues.subscribed("a");
    await queues.idle();
    assert.deepEqual(sent, ["a first", "a second", "a first"]);
    nowMs += 201;
    queues.subscribed("a");
    await queues.idle();
    assert.equal(sent.length, 3);
    queues.close();
  } finally {
    clock.mock.restore();
  }
});

test("attack: first replies to clients that never end are remembered in bounds", async () => {
  const { queues, sent, subscribed } = make();
  const count = 60_000;
  for (let client = 0; client < count; client += 1) {
    subscribed.add(`${client}`);
    queues.publish(`${client}`, [`${client}`, "config"], { audience: "newcomers" });
    if (client % 1_000 === 0) await queues.idle();
  }
  await queues.idle();
  assert.equal(sent.length, count);
  let again = 0;
  for (let client = count - 1; client >= 0; client -= 1) {
    queues.subscribed(`${client}`);
    await queues.idle();
    if (sent.length === count + again) break;
    again += 1;
  }
  assert.ok(again > 5_000 && again < 20_000, `${again}`);
  queues.close();
});
