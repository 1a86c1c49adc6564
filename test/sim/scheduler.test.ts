import assert from "node:assert/strict";
import { test } from "node:test";
import { recording } from "./recorded-runs.js";
import { type Result, simulate } from "./simulate.js";

const schedules = 2_000;

function explain({ seed, policy, violation }: Result): string {
  return `SIM_SEED=${seed} (${policy}) ${violation?.message}`;
}

test("thousands of schedules keep every promise", (t) => {
  const only = process.env["SIM_SEED"];
  const seeds =
    only === undefined ? Array.from({ length: schedules }, (_, at) => at + 1) : [Number(only)];
  const totals = { items: 0, outcomes: 0, batches: 0, deaths: 0 };
  for (const seed of seeds) {
    const result = simulate(seed);
    assert.equal(result.violation, null, explain(result));
    for (const key of ["items", "outcomes", "batches", "deaths"] as const)
      totals[key] += result[key];
  }
  t.diagnostic(
    `${seeds.length} schedules: ${JSON.stringify(totals)}; durations: ${recording.source}`,
  );
});

test("the same seed gives the same schedule", () => {
  for (const seed of [1, 2, 3, 4, 5]) assert.deepEqual(simulate(seed), simulate(seed));
});
