/**
 * Breaks the rooms in ways that each rule forbids: the simulator must notice, and name the rule. Of the ways to break the code one
 * of each room runs here; `npm run simulate -- --mutations` runs all.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { focused } from "./focus.js";
import { makePlan } from "./make-plan.js";
import { rules } from "./rules.js";
import { Workshop } from "./run-mutations.js";
import { broken, schedulerMutations } from "./scheduler-mutations.js";
import { play } from "./simulate.js";
import { oneOfEachRoom, sourceMutations } from "./source-mutations.js";

const schedulesMax = 1_500;

for (const [name, mutation] of Object.entries(schedulerMutations)) {
  test(`a scheduler that ${name} breaks "${mutation.rule}"`, async () => {
    const seen = new Map<string, number>();
    for (let seed = 1; seed <= schedulesMax; seed += 1) {
      const plan = focused(makePlan(seed), mutation.focus ?? {});
      const { violation } = await play(plan, { make: broken(mutation) });
      if (violation?.rule === mutation.rule) return;
      if (violation !== null) seen.set(violation.rule, (seen.get(violation.rule) ?? 0) + 1);
    }
    assert.fail(`not noticed in ${schedulesMax} schedules; instead: ${JSON.stringify([...seen])}`);
  });
}

describe("of rooms whose code is broken in one place", { concurrency: 2 }, () => {
  // One for each that runs at a time.
  const workshops: Workshop[] = [];
  for (const [room, list] of Object.entries(oneOfEachRoom())) {
    for (const mutation of list) {
      test(`${room}: one that ${mutation.name} breaks "${mutation.rule}"`, async (t) => {
        const workshop = workshops.pop() ?? (await Workshop.make());
        t.after(() => void workshops.push(workshop));
        assert.equal(await workshop.check(mutation), null);
      });
    }
  }
  test("every room has some", () => {
    for (const [room, list] of Object.entries(sourceMutations)) assert.ok(list.length >= 4, room);
  });
});

test("each has its place in the code, also those that only the command runs", async () => {
  assert.deepEqual(await Workshop.lostPlaces(Object.values(sourceMutations).flat()), []);
});

test("every rule is broken by some mutation", () => {
  const mutations = [
    ...Object.values(schedulerMutations),
    ...Object.values(sourceMutations).flat(),
  ];
  const broken = new Set(mutations.map(({ rule }) => rule));
  assert.deepEqual(
    [...rules].filter((rule) => !broken.has(rule)),
    [],
  );
});
