import assert from "node:assert/strict";
import { test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import { TaskOrder } from "#src/front/ectransformer/task-order.js";

test("attack: results that wait for an earlier message of their task are bounded", () => {
  const order = new TaskOrder(4_096);
  const said: string[] = [];
  const first = order.begin("task");
  const second = order.begin("task");
  const elsewhere = order.begin("other");
  // Tiny ones count what it costs to hold them.
  const hold = (): void => second.say(1, () => void said.push("second"));
  for (let at = 0; at < 7; at += 1) hold();
  assert.throws(hold, (error) => error instanceof MillraceError && error.code === "queue_full");
  elsewhere.say(1_000_000, () => void said.push("elsewhere"));
  first.say(1_000_000, () => void said.push("first"));
  assert.deepEqual(said, ["elsewhere", "first"]);
  second.end();
  first.end();
  assert.deepEqual(said, ["elsewhere", "first", ...Array<string>(7).fill("second")]);
  // What it held is free again, and its topic forgotten: the next one speaks at once.
  const third = order.begin("task");
  third.say(1, () => void said.push("third"));
  assert.equal(said.at(-1), "third");
  const fourth = order.begin("task");
  for (let at = 0; at < 7; at += 1) fourth.say(1, () => {});
});
