import assert from "node:assert/strict";
import { test } from "node:test";
import { BodyBudget, type BodyShare } from "#src/listen/http/body-budget.js";
import { BodyBytes } from "#src/listen/http/body-bytes.js";

const full = { code: "queue_full", retryable: true };

function open(budget: BodyBudget): { readonly share: BodyShare; readonly refused: string[] } {
  const refused: string[] = [];
  return { share: budget.open((error) => refused.push(error.code)), refused };
}

test("the largest goes: the newcomer where it is that, else another", () => {
  const budget = new BodyBudget(100);
  const small = open(budget);
  const large = open(budget);
  small.share.grow(30);
  large.share.grow(60);
  assert.throws(() => large.share.grow(20), full);
  assert.equal(budget.heldBytes, 90);
  small.share.grow(20);
  assert.deepEqual([small.refused, large.refused, budget.heldBytes], [[], ["queue_full"], 50]);
  large.share.release();
  small.share.release();
  assert.equal(budget.heldBytes, 0);
});

test("a body that is whole is not refused any more, and one that is alone is taken", () => {
  const budget = new BodyBudget(100);
  const whole = open(budget);
  whole.share.grow(150);
  whole.share.settled = true;
  assert.throws(() => open(budget).share.grow(1), full);
  assert.deepEqual(whole.refused, []);
  whole.share.release();
  whole.share.release();
  assert.equal(budget.heldBytes, 0);
});

test("a body's bytes are copied: a byte at a time costs no object a byte", () => {
  const budget = new BodyBudget(1024 * 1024);
  const { share } = open(budget);
  const bytes = new BodyBytes(share, null);
  const count = 100_000;
  for (let i = 0; i < count; i++) bytes.append(Buffer.of(i % 256));
  assert.equal(bytes.length, count);
  assert.ok(share.bytes >= count && share.bytes <= 2 * count, `${share.bytes} bytes counted`);
  assert.deepEqual(bytes.take(), Buffer.from(Array.from({ length: count }, (_, i) => i % 256)));
});

test("a length that was said is what is counted, and no more than was sent is believed", () => {
  const budget = new BodyBudget(1024 * 1024);
  const small = open(budget);
  new BodyBytes(small.share, 10).append(Buffer.alloc(10));
  assert.equal(small.share.bytes, 10);
  const liar = open(budget);
  new BodyBytes(liar.share, 900_000).append(Buffer.alloc(10));
  assert.ok(liar.share.bytes < 10_000);
  // A length below what comes is Node's to refuse; here it only costs a slab more.
  const longer = new BodyBytes(open(budget).share, 5);
  longer.append(Buffer.from("0123456789"));
  assert.equal(longer.take().toString(), "0123456789");
});
