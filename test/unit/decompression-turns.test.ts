import assert from "node:assert/strict";
import { test } from "node:test";
import { type Claim, DecompressionTurns } from "#src/listen/http/decompression-turns.js";
import { VirtualClock } from "#src/simulation/virtual-clock.js";

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
  assert.deepEqual(order.slice(3), ["large", "begun"], "then whoever has waited longest");
  // The turn was given back by the last one.
  await turns.take(small, never());
});

/** Bodies of so many MiB, all at once, a millisecond a turn; how many were decompressed, and how many refused. */
class Bodies {
  readonly turnMs: number;
  done = 0;
  refused = 0;
  /** Since when the clock stood at 0. */
  largeMs = 0;

  constructor({ turnMs = 1 } = {}) {
    this.turnMs = turnMs;
  }

  async run(mebibytes: number, { clock, turns }: Parts): Promise<void> {
    const size = mebibytes * 1024 * 1024;
    try {
      for (let had = 0; had < size; had += 64 * 1024) {
        await turns.take({ had, size }, never());
        clock.skip(this.turnMs);
        this.largeMs += this.turnMs;
        turns.giveBack();
      }
      this.done += 1;
    } catch (error) {
      assert.equal((error as { readonly code: string }).code, "queue_full");
      this.refused += 1;
    }
  }
}

interface Parts {
  readonly clock: VirtualClock;
  readonly turns: DecompressionTurns;
}

function make(): Parts {
  const clock = new VirtualClock();
  return { clock, turns: new DecompressionTurns(clock) };
}

test("attack: bombs have a ninth of the time beside others; who is small waits for one turn of them, and those that are too many are refused", async () => {
  const { clock, turns } = make();
  const bodies = new Bodies();
  await turns.take(small, never());
  // 400 MiB, where 64 are done in good time.
  const bombs = Array.from({ length: 100 }, () => bodies.run(4, { clock, turns }));
  turns.giveBack();
  while (clock.nowMs < 1_000) {
    turns.otherCame();
    const before = bodies.largeMs;
    const mine = turns.take(small, never());
    await settled();
    await mine;
    assert.ok(bodies.largeMs - before <= 1, "one turn of a bomb at most");
    turns.giveBack();
    clock.advance();
    await settled();
    if (clock.nowMs < 500) assert.equal(bodies.refused, 0);
    assert.ok(bodies.largeMs <= clock.nowMs / 9 + 2, `${bodies.largeMs} of ${clock.nowMs} ms`);
  }
  assert.ok(bodies.refused >= 80 && bodies.refused <= 90, `${bodies.refused} of 100 refused`);
  while (clock.advance()) await settled();
  await Promise.all(bombs);
  assert.equal(bodies.done + bodies.refused, 100);
});

test("attack: sixteen honest bodies of the largest size at once are all read", async () => {
  const { clock, turns } = make();
  const bodies = new Bodies();
  const all = Promise.all(Array.from({ length: 16 }, () => bodies.run(4, { clock, turns })));
  await settled();
  while (clock.advance()) await settled();
  await all;
  assert.deepEqual([bodies.done, bodies.refused], [16, 0]);
  assert.ok(clock.nowMs <= 2 * bodies.largeMs, "nobody else came: half of the time is theirs");
});

test("attack: what holds the event loop in a turn makes no pause of it", async () => {
  const { clock, turns } = make();
  const bodies = new Bodies({ turnMs: 2_000 });
  const all = Promise.all([1, 1, 1].map((size) => bodies.run(size, { clock, turns })));
  await settled();
  let pausesMs = -clock.nowMs;
  while (clock.advance()) await settled();
  await all;
  pausesMs += clock.nowMs - bodies.largeMs;
  assert.deepEqual([bodies.done, bodies.refused], [3, 0]);
  assert.ok(pausesMs <= 48 * 6, `paused for ${pausesMs} ms`);
});

test("attack: a small body is not refused, however long it waits; a large one is after ten seconds", async () => {
  const { clock, turns } = make();
  await turns.take(small, never());
  const smalls = [turns.take(small, never()), turns.take(small, never())];
  const refused = [large(5, 4), large(6)].map((claim) =>
    assert.rejects(turns.take(claim, never()), { code: "queue_full" }),
  );
  clock.skip(11_000);
  for (const taken of smalls) {
    turns.giveBack();
    await taken;
  }
  await Promise.all(refused);
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
