/** Whose run is next in a process of several models. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { EngineTurns } from "#src/runtime/engine-turns.js";

interface Made {
  readonly name: string;
  hasRealtime: boolean;
  predictedMs(): number;
}

function made(name: string, hasRealtime: boolean): Made {
  return { name, hasRealtime, predictedMs: () => 5 };
}

/** So many runs of 5 ms each, by name. */
function play(active: readonly Made[], runs: number): string {
  const turns = new EngineTurns<Made>();
  let played = "";
  for (let run = 0; run < runs; run += 1) {
    const next = turns.next(active);
    if (next === null) break;
    turns.ran(next, 5, active);
    played += next.name;
  }
  return played;
}

test("nobody has work: nobody runs", () => {
  assert.equal(play([], 3), "");
});

test("who has realtime work takes turns, and bulk gets its eighth beside it", () => {
  assert.equal(play([made("a", true), made("b", true)], 6), "ababab");
  assert.equal(play([made("a", true), made("b", false)], 17), "aaaaaaabaaaaaaaba");
});

test("defect: one run of bulk at a time goes before realtime, however much it is owed", () => {
  const turns = new EngineTurns<Made>();
  const active = [made("a", true), made("b", false)];
  const ran: string[] = [];
  // The first run takes long enough to pay for several of bulk.
  for (const ms of [400, 5, 5, 5, 5, 5]) {
    const next = turns.next(active);
    assert.ok(next !== null);
    turns.ran(next, ms, active);
    ran.push(next.name);
  }
  assert.equal(ran.join(""), "ababab");
});

test("bulk of several models takes turns", () => {
  assert.equal(play([made("a", false), made("b", false), made("c", false)], 6), "abcabc");
});

test("who comes back has no credit for the time that it was away", () => {
  const turns = new EngineTurns<Made>();
  const [a, b] = [made("a", true), made("b", true)];
  for (let run = 0; run < 100; run += 1) turns.ran(turns.next([a]) ?? a, 5, [a]);
  let names = "";
  for (let run = 0; run < 4; run += 1) {
    const next = turns.next([a, b]) ?? a;
    turns.ran(next, 5, [a, b]);
    names += next.name;
  }
  assert.equal(names, "abab");
});
