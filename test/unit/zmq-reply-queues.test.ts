import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
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

function make(limits: { readonly topicBytesMax?: number; readonly bytesMax?: number } = {}): Made {
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
          queues.left(topic);
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
