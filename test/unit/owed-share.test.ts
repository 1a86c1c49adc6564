/** What bulk is owed beside realtime. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { OwedShare } from "#src/runtime/owed-share.js";

test("bulk that waits is owed its share of the time that both take", () => {
  const share = new OwedShare(0.25);
  share.realtimeServed(30, true);
  share.realtimeServed(30, true);
  assert.equal(share.owed, 20);
  share.bulkServed(15, false);
  assert.equal(share.owed, 5);
});

test("a share that nobody waited for is not saved up", () => {
  const share = new OwedShare(0.25);
  share.realtimeServed(30, true);
  share.realtimeServed(30, false);
  assert.equal(share.owed, 0);
});

test("what bulk took too much is asked back, or forgiven", () => {
  const share = new OwedShare(0.5);
  share.realtimeServed(10, true);
  share.bulkServed(25, true);
  assert.equal(share.owed, -15);
  share.realtimeServed(10, true);
  assert.equal(share.owed, -5);
  share.bulkServed(1, false);
  assert.equal(share.owed, 0);
});

test("no more is owed than the most that may be", () => {
  const share = new OwedShare(0.5, 100);
  share.realtimeServed(1_000, true);
  assert.equal(share.owed, 100);
  share.bulkServed(40, false);
  assert.equal(share.owed, 60);
});
