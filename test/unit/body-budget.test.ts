import assert from "node:assert/strict";
import { test } from "node:test";
import { BodyBudget, type BodyShare } from "#src/listen/body-budget.js";
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
  whole.share.settle();
  assert.throws(() => open(budget).share.grow(1), full);
  assert.deepEqual(whole.refused, []);
  whole.share.release();
  whole.share.release();
  assert.equal(budget.heldBytes, 0);
});

/** Time passes when the test says so. */
class Clock {
  ms = 0;
  readonly now = (): number => this.ms;
}

function fill(budget: BodyBudget, count: number, bytes: number): ReturnType<typeof open>[] {
  return Array.from({ length: count }, () => {
    const body = open(budget);
    body.share.received(bytes);
    body.share.grow(bytes);
    return body;
  });
}

function refusedOf(bodies: readonly ReturnType<typeof open>[]): number {
  return bodies.filter(({ refused }) => refused.length > 0).length;
}

test("attack: bodies that stall go before a larger one that is under way, the oldest first", () => {
  const clock = new Clock();
  const budget = new BodyBudget(1_000, clock.now);
  const stalled = fill(budget, 12, 80);
  clock.ms += 2_000;
  const honest = open(budget);
  for (let i = 0; i < 10; i++) {
    honest.share.received(50);
    honest.share.grow(50);
    clock.ms += 10;
  }
  assert.deepEqual(honest.refused, []);
  assert.deepEqual(
    stalled.map(({ refused }) => refused.length),
    [1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0],
  );
  assert.equal(budget.heldBytes, 500 + 6 * 80);
});

test("attack: a byte now and then is no progress", () => {
  const clock = new Clock();
  const budget = new BodyBudget(1_000, clock.now);
  const trickling = fill(budget, 12, 80);
  for (let i = 0; i < 4; i++) {
    clock.ms += 500;
    for (const { share } of trickling) share.received(1);
  }
  const [honest] = fill(budget, 1, 500);
  assert.deepEqual(honest?.refused, []);
  assert.equal(refusedOf(trickling), 6);
});

test("a slow body that makes progress stays, and one that has stalled goes", () => {
  const clock = new Clock();
  const budget = new BodyBudget(1_000, clock.now);
  const [slow, stalled] = fill(budget, 2, 400);
  for (let i = 0; i < 8; i++) {
    clock.ms += 500;
    slow?.share.received(25);
  }
  fill(budget, 1, 300);
  assert.deepEqual([slow?.refused, stalled?.refused], [[], ["queue_full"]]);
});

test("a flood of fresh large bodies pushes out no small one, however slow", () => {
  const clock = new Clock();
  const budget = new BodyBudget(1_000_000, clock.now);
  const small = fill(budget, 10, 100);
  clock.ms += 30_000;
  for (let i = 0; i < 100; i++) {
    const large = open(budget);
    try {
      for (let j = 0; j < 4; j++) large.share.grow(100_000);
    } catch {
      large.share.release();
    }
    clock.ms += 1;
  }
  assert.ok(budget.heldBytes > 500_000 && budget.heldBytes <= 1_000_000);
  assert.equal(refusedOf(small), 0);
});

test("a body that is whole and waits for us does not age", () => {
  const clock = new Clock();
  const budget = new BodyBudget(1_000, clock.now);
  const [waiting] = fill(budget, 1, 500);
  const [stalled] = fill(budget, 1, 400);
  waiting?.share.arrived();
  clock.ms += 10_000;
  fill(budget, 1, 300);
  assert.deepEqual([waiting?.refused, stalled?.refused], [[], ["queue_full"]]);
});

test("a victim is found among a hundred thousand bodies as fast as among ten", {
  timeout: 60_000,
}, () => {
  const clock = new Clock();
  const count = 100_000;
  const budget = new BodyBudget(count * 100, clock.now);
  const stalled = fill(budget, count, 100);
  clock.ms += 1_000;
  const next = fill(budget, count, 100);
  assert.deepEqual([refusedOf(stalled), refusedOf(next)], [count, 0]);
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
