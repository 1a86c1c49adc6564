import assert from "node:assert/strict";
import { test } from "node:test";
import { Watch } from "#src/worker/watch.js";

const options = {
  checkMs: 100,
  hangFloorMs: 1_000,
  hangFactor: 10,
  stillChecksMax: 2,
  runMsMax: 10_000,
};

/** Looks every `checkMs` until the given time; returns the states that it went through, without repeats. */
function statesUntil(
  watch: Watch,
  untilMs: number,
  cpuMsAt: (ms: number) => number | null,
): string[] {
  const states: string[] = [];
  for (let ms = 100; ms <= untilMs; ms += 100) {
    const cpuMs = cpuMsAt(ms);
    const { state } = watch.look(ms, () =>
      cpuMs === null ? null : { cpuMs, stopped: false, runnable: false },
    );
    if (states.at(-1) !== state) states.push(state);
    if (state === "hung") break;
  }
  return states;
}

test("silence within the prediction is fine, whatever the processor does", () => {
  const watch = new Watch(options, 0);
  watch.heard(0, 300);
  assert.deepEqual(
    statesUntil(watch, 4_000, () => 5),
    ["fine"],
  );
});

test("far over the prediction and standing still is a hang", () => {
  assert.deepEqual(
    statesUntil(new Watch(options, 0), 4_000, () => 5),
    ["fine", "suspect", "hung"],
  );
});

test("a merely slow run is suspect and lives, up to the hard limit", () => {
  const slow = (ms: number): number => ms;
  assert.deepEqual(statesUntil(new Watch(options, 0), 10_000, slow), ["fine", "suspect"]);
  assert.deepEqual(statesUntil(new Watch(options, 0), 11_000, slow), ["fine", "suspect", "hung"]);
});

test("a process that waits for the processor does not stand still of itself", () => {
  const watch = new Watch(options, 0);
  for (let ms = 100; ms <= 9_900; ms += 100) {
    const starved = { cpuMs: 5, stopped: false, runnable: true };
    assert.notEqual(watch.look(ms, () => starved).state, "hung");
  }
});

test("where there is no /proc only the hard limit counts", () => {
  assert.deepEqual(
    statesUntil(new Watch(options, 0), 10_000, () => null),
    ["fine", "suspect"],
  );
  assert.deepEqual(
    statesUntil(new Watch(options, 0), 11_000, () => null),
    ["fine", "suspect", "hung"],
  );
});

test("the parent's own absence is not held against the child", () => {
  const watch = new Watch(options, 0);
  assert.equal(watch.look(100, () => null).state, "fine");
  assert.equal(watch.look(900_000, () => null).state, "fine");
});
