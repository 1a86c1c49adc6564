import assert from "node:assert/strict";
import { test } from "node:test";
import { type Claim, DecompressionTurns } from "#src/listen/http/decompression-turns.js";
import { VirtualClock } from "../sim/clock.js";

const small = { had: 0, size: 0 };

function large(size: number, had = 0): Claim {
  return { had, size: 1024 * 1024 + size };
}

const never = (): AbortSignal => new AbortController().signal;

/** All that follows from what was resolved; nothing in here waits for real time. */
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test("defect 4: the smallest of the large has the next turn, of equals who is nearest to its end, and who leaves has none", async () => {
  const clock = new VirtualClock();
  const turns = new DecompressionTurns(clock);
  const leaves = new AbortController();
  const order: string[] = [];
  await turns.take(small, never());
  const claims: readonly (readonly [string, Claim])[] = [
    ["large", large(2)],
    ["begun", large(1, 5)],
    ["begun, nearer", large(1, 6)],
    ["small", small],
    ["small, later", small],
  ];
  const waiting = claims.map(async ([name, claim]) => {
    await turns.take(claim, never());
    order.push(name);
    clock.skip(1);
    turns.giveBack();
  });
  const left = turns.take(large(0), leaves.signal);
  leaves.abort(new Error("left"));
  await assert.rejects(left, /left/);
  turns.giveBack();
  await settled();
  // A large one has its turn where no pause is, and then there is one: the small ones do not wait for its end.
  assert.deepEqual(order, ["begun, nearer", "small", "small, later"]);
  while (clock.advance()) await settled();
  await Promise.all(waiting);
  assert.deepEqual(order.slice(3), ["begun", "large"]);
  // The turn was given back by the last one.
  await turns.take(small, never());
});

test("attack: bombs have a ninth of the time; who is small waits for one turn of them, and who waits too long is refused", async () => {
  const clock = new VirtualClock();
  const turns = new DecompressionTurns(clock);
  let [bombMs, refused] = [0, 0];
  await turns.take(small, never());
  const bombs = Array.from({ length: 20 }, async (_, index) => {
    try {
      for (let had = 0; ; had += 1) {
        await turns.take(large(index, had), never());
        clock.skip(10);
        bombMs += 10;
        turns.giveBack();
      }
    } catch (error) {
      assert.equal((error as { readonly code: string }).code, "queue_full");
      refused += 1;
      // The others would be alone, one after the other, and never rest.
      if (refused < 10) return;
      turns.take = () => Promise.reject(error as Error);
    }
  });
  turns.giveBack();
  await settled();
  let served = 0;
  while (refused < 10) {
    const before = bombMs;
    const mine = turns.take(small, never());
    await settled();
    await mine;
    assert.ok(bombMs - before <= 10, "one turn of a bomb at most");
    served += 1;
    turns.giveBack();
    clock.advance();
    await settled();
  }
  assert.ok(served > 3);
  assert.ok(clock.nowMs >= 500 && clock.nowMs < 700, `refused after ${clock.nowMs} ms`);
  assert.ok(bombMs <= clock.nowMs / 9 + 20, `${bombMs} of ${clock.nowMs} ms`);
  while (clock.advance()) await settled();
  void bombs;
});

test("attack: a small body is not refused, however long it waits; nor is a large one that waits alone", async () => {
  const clock = new VirtualClock();
  const turns = new DecompressionTurns(clock);
  await turns.take(small, never());
  const smalls = [turns.take(small, never()), turns.take(small, never())];
  const refused = assert.rejects(turns.take(large(5), never()), { code: "queue_full" });
  const alone = turns.take(large(6), never());
  clock.skip(600);
  // The large one that is left when the other is refused waits for nobody who is large.
  for (const taken of [alone, ...smalls]) {
    turns.giveBack();
    await taken;
  }
  await refused;
});

test("attack: small bodies without end do not keep large ones from their turn", async () => {
  const turns = new DecompressionTurns();
  let [over, smalls] = [false, 0];
  const flood = Array.from({ length: 8 }, async () => {
    while (!over) {
      await turns.take(small, never());
      smalls += 1;
      await settled();
      turns.giveBack();
    }
  });
  for (let turn = 0; turn < 10; turn += 1) {
    await turns.take(large(turn, turn), never());
    turns.giveBack();
  }
  over = true;
  await Promise.all(flood);
  assert.ok(smalls > 10, `${smalls} small ones had turns meanwhile`);
});

test("attack: large bodies without end do not keep a larger one from its turn", async () => {
  const clock = new VirtualClock();
  const turns = new DecompressionTurns(clock);
  let over = false;
  let others = 0;
  await turns.take(small, never());
  const largest = turns.take(large(1_000), never()).then(() => {
    over = true;
    turns.giveBack();
  });
  const flood = Array.from({ length: 4 }, async () => {
    while (!over) {
      await turns.take(large(1), never());
      others += 1;
      turns.giveBack();
    }
  });
  turns.giveBack();
  while (!over) {
    await settled();
    clock.advance();
  }
  await largest;
  await settled();
  while (clock.advance()) await settled();
  await Promise.all(flood);
  assert.ok(others <= 20, `it waited for ${others} turns`);
});
