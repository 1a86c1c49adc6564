import assert from "node:assert/strict";
import { test } from "node:test";
import { VirtualClock } from "#src/simulation/virtual-clock.js";
import { MemoryKills } from "#src/worker/memory-kills.js";

function makeKills(count: () => number | null): { kills: MemoryKills; clock: VirtualClock } {
  const clock = new VirtualClock();
  const time = {
    now: () => clock.nowMs,
    after: (delayMs: number, action: () => void) => clock.after(delayMs, action),
  };
  return { kills: new MemoryKills(time, count), clock };
}

function pass(clock: VirtualClock, ms: number): void {
  clock.after(ms, () => {});
  clock.advance();
}

test("defect 10: each kill that the kernel counts explains one death", () => {
  let count = 7;
  const { kills } = makeKills(() => count);
  assert.equal(kills.explainsDeath(), false, "what was counted before the start is nobody's");
  count += 2;
  assert.deepEqual(
    [1, 2, 3].map(() => kills.explainsDeath()),
    [true, true, false],
  );
});

test("defect 10: a kill seen shortly before explains a death, one seen long before does not", () => {
  let count = 0;
  const { kills, clock } = makeKills(() => count);
  count = 1;
  pass(clock, 500);
  kills.look();
  pass(clock, 4_000);
  assert.equal(kills.explainsDeath(), true);
  count = 2;
  pass(clock, 500);
  kills.look();
  pass(clock, 60_000);
  assert.equal(kills.explainsDeath(), false);
});

test("where nothing counts, nothing is explained, and a counter that goes back starts anew", () => {
  let count: number | null = null;
  const { kills } = makeKills(() => count);
  assert.equal(kills.explainsDeath(), false);
  for (const next of [5, 3, 1_000_000]) {
    count = next;
    assert.equal(kills.explainsDeath(), next === 1_000_000);
  }
});
