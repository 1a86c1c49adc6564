import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { Subscribers } from "#src/listen/zmq/subscribers.js";
import { until } from "../support/real-server.js";

function start(holdMs = 60_000): { readonly subscribers: Subscribers; readonly told: string[] } {
  const told: string[] = [];
  const subscribers = new Subscribers({
    holdMs,
    onSubscribed: (topic) => void told.push(`+${topic}`),
    onLeft: (topic) => void told.push(`-${topic}`),
    onShared: (shorter, longer) => void told.push(`${shorter} < ${longer}`),
    onIgnored: () => void told.push("ignored"),
  });
  return { subscribers, told };
}

const subscribe = (topic: string): string => `\u0001${topic}`;
const unsubscribe = (topic: string): string => `\u0000${topic}`;

test("an identity that is the beginning of another is told, whichever came first", () => {
  const { subscribers, told } = start();
  for (const topic of ["user10", "user1", "user2", "user"]) subscribers.told(subscribe(topic));
  assert.deepEqual(told, [
    "+user10",
    "user1 < user10",
    "+user1",
    "+user2",
    "user < user1",
    "+user",
  ]);
  assert.equal(subscribers.isOverheard("user2"), true);
  assert.equal(subscribers.isOverheard("user"), false);
  subscribers.told(unsubscribe("user"));
  assert.equal(subscribers.isOverheard("user2"), false);
  subscribers.close();
});

test("who is back at once has not left", async () => {
  const { subscribers, told } = start();
  let left = 0;
  subscribers.told(subscribe("a"));
  const unwatch = subscribers.watch("a", () => (left += 1));
  subscribers.told(unsubscribe("a"));
  subscribers.told(subscribe("a"));
  subscribers.told(subscribe("b"));
  subscribers.told(unsubscribe("b"));
  await until(() => told.includes("-b"));
  assert.deepEqual(told, ["+a", "+a", "+b", "-b"]);
  assert.equal(left, 0);
  subscribers.told(unsubscribe("a"));
  await until(() => left === 1);
  unwatch();
  subscribers.close();
});

test("defect: who asks when the others have just left is not taken for one of them", async () => {
  const { subscribers, told } = start();
  const left: string[] = [];
  subscribers.told(subscribe("a"));
  subscribers.watch("a", () => void left.push("before"));
  subscribers.told(unsubscribe("a"));
  await delay(5);
  const unwatch = subscribers.watch("a", () => void left.push("after"));
  await until(() => told.includes("-a"));
  subscribers.told(subscribe("a"));
  subscribers.told(unsubscribe("a"));
  assert.deepEqual(left, ["before"]);
  await until(() => left.includes("after"));
  unwatch();
  subscribers.close();
});

test("topics that are too many or too long are not remembered", () => {
  const { subscribers, told } = start();
  subscribers.told(subscribe("x".repeat(1_025)));
  assert.deepEqual(told, ["ignored"]);
  for (let index = 0; index < 65_537; index += 1) {
    subscribers.told(subscribe(`${String(index).padStart(6, "0")}.`));
  }
  assert.equal(told.filter((each) => each === "ignored").length, 2);
  subscribers.told(unsubscribe("000000."));
  subscribers.told(subscribe("other"));
  assert.equal(subscribers.has("other"), true);
  subscribers.close();
});
