/** What callers over gRPC can make the server hold: replies that they do not take, and messages on their way in. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ReadPlaces } from "#src/listen/grpc/read-places.js";
import { UntakenReplies } from "#src/listen/grpc/untaken-replies.js";

test("replies over gRPC that nobody takes: who has waited longest is disconnected where they are too many bytes", () => {
  const cutOff: string[] = [];
  const replies = new UntakenReplies({
    bytesMax: 100,
    stallMs: 60_000,
    disconnect: (peer) => cutOff.push(peer),
  });
  const taken = replies.add(60, "first");
  const second = replies.add(30, "second");
  assert.deepEqual(cutOff, []);
  const third = replies.add(30, "third");
  assert.deepEqual(cutOff, ["first"]);
  // It was cut off: that its reply is gone changes nothing any more.
  taken();
  const fourth = replies.add(40, "fourth");
  assert.deepEqual(cutOff, ["first"], "what was given back is there for others");
  for (const done of [second, third, fourth]) done();
});

test("messages over gRPC on their way in have places; who comes then waits in a line, and is refused where that is full", () => {
  const places = new ReadPlaces(1, 2);
  const entered: string[] = [];
  const take = (name: string): (() => void) | null => {
    const holder = { idleMs: () => 0, evict: () => assert.fail("nobody idles") };
    return places.take(holder, () => entered.push(name));
  };
  const first = take("first");
  const second = take("second");
  const third = take("third");
  assert.equal(take("fourth"), null, "the line has two");
  assert.deepEqual(entered, ["first"]);
  second?.();
  first?.();
  first?.();
  assert.deepEqual(entered, ["first", "third"], "who gave up waiting is passed over");
  assert.notEqual(take("fifth"), null);
  third?.();
  assert.deepEqual(entered, ["first", "third", "fifth"]);
});
