import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { InLine } from "#src/prepare/line.js";
import { Turns } from "#src/prepare/turns.js";

const never = (): AbortSignal => new AbortController().signal;

function place(of: Partial<Omit<InLine, "class">> & { class?: "realtime" | "bulk" } = {}): InLine {
  const { class: workClass = "realtime", tenant = "default", weight = 1 } = of;
  return { class: () => workClass, tenant, weight };
}

/** Works until the condition holds: for ever, where others get no turn. */
function* workUntil(condition: () => boolean): Generator<void, string> {
  while (!condition()) yield;
  return "done";
}

/** So many steps, each of a millisecond at least, so that a slice is one step or two. */
function* slowSteps(count: number, onStep: () => void): Generator<void, string> {
  for (let step = 0; step < count; step += 1) {
    const endsAt = performance.now() + 1;
    while (performance.now() < endsAt);
    onStep();
    yield;
  }
  return "done";
}

test("a long work does not keep others, nor timers, from their turn", async () => {
  const turns = new Turns();
  let shortIsDone = false;
  let timerFired = false;
  const long = turns.run(
    workUntil(() => shortIsDone && timerFired),
    place(),
    never(),
  );
  const short = turns.run(
    workUntil(() => true),
    place(),
    never(),
  );
  setTimeout(() => {
    timerFired = true;
  }, 1);
  assert.equal(await short, "done");
  shortIsDone = true;
  assert.equal(await long, "done");
});

test("a work that throws fails alone", async () => {
  const turns = new Turns();
  const broken = turns.run(
    workUntil(() => {
      throw new Error("broken");
    }),
    place(),
    never(),
  );
  const whole = turns.run(
    workUntil(() => true),
    place(),
    never(),
  );
  await assert.rejects(broken, /broken/);
  assert.equal(await whole, "done");
});

test("a work whose caller leaves in the middle of its step has no other step", async () => {
  const turns = new Turns();
  const left = new AbortController();
  let steps = 0;
  const work = turns.run(
    workUntil(() => {
      steps += 1;
      left.abort();
      return steps > 1_000_000_000;
    }),
    place(),
    left.signal,
  );
  await assert.rejects(work, { name: "AbortError" });
  assert.equal(
    await turns.run(
      workUntil(() => true),
      place(),
      never(),
    ),
    "done",
  );
  assert.equal(steps, 1);
  assert.equal(turns.waiting, 0);
});

test("defect 7: a work that waits behind others rejects when its deadline comes, not at its turn", async () => {
  const turns = new Turns();
  const others = Array.from({ length: 20 }, () =>
    turns.run(
      slowSteps(20, () => {}),
      place(),
      never(),
    ),
  );
  const left = new AbortController();
  let steps = 0;
  const waits = turns.run(
    slowSteps(1, () => {
      steps += 1;
    }),
    place({ class: "bulk" }),
    left.signal,
  );
  left.abort(new Error("the deadline"));
  await assert.rejects(waits, /the deadline/);
  assert.equal(turns.waiting, others.length, "none of the others has had its turn");
  assert.equal(steps, 0);
  await Promise.all(others);
  assert.equal(steps, 0);
});

describe("defect 8: who goes first", () => {
  /** Starts all, and gives the order in which they ended. */
  async function endings(works: readonly { name: string; place: InLine; steps: number }[]) {
    const turns = new Turns();
    const ended: string[] = [];
    let done = 0;
    const stepsBefore = new Map<string, number>();
    await Promise.all(
      works.map(async ({ name, place: its, steps }) => {
        const work = slowSteps(steps, () => {
          done += 1;
        });
        await turns.run(work, its, never());
        ended.push(name);
        stepsBefore.set(name, done);
      }),
    );
    return { ended, stepsBefore };
  }

  test("defect 8: a realtime sentence waits for one slice of a hundred bulk pages", async () => {
    const pages = Array.from({ length: 100 }, (_, index) => ({
      name: `page ${index}`,
      place: place({ class: "bulk", weight: 10_000 }),
      steps: 3,
    }));
    const sentence = { name: "sentence", place: place(), steps: 1 };
    const { ended, stepsBefore } = await endings([...pages, sentence]);
    assert.equal(ended[0], "sentence");
    assert.ok((stepsBefore.get("sentence") ?? 999) <= 8, `${stepsBefore.get("sentence")} steps`);
    assert.equal(ended.length, 101);
  });

  test("defect 8: pages that only turn out to be bulk do not hold up a sentence either", async () => {
    const pages = Array.from({ length: 100 }, (_, index) => ({
      name: `page ${index}`,
      place: place({ weight: 10_000 }),
      steps: 3,
    }));
    const sentence = { name: "sentence", place: place({ weight: 40 }), steps: 1 };
    const { ended } = await endings([...pages, sentence]);
    assert.equal(ended[0], "sentence");
  });

  test("defect 8: bulk does not starve while realtime never ends", async () => {
    const turns = new Turns();
    let bulkIsDone = false;
    const realtime = turns.run(
      workUntil(() => bulkIsDone),
      place(),
      never(),
    );
    await turns.run(
      slowSteps(5, () => {}),
      place({ class: "bulk" }),
      never(),
    );
    bulkIsDone = true;
    assert.equal(await realtime, "done");
  });

  test("defect 8: a tenant with one work waits for one of each other tenant, not for all of theirs", async () => {
    const many = Array.from({ length: 300 }, (_, index) => ({
      name: `many ${index}`,
      place: place({ tenant: "many" }),
      steps: 1,
    }));
    const one = { name: "one", place: place({ tenant: "one" }), steps: 1 };
    const { ended } = await endings([...many, one]);
    assert.ok(ended.indexOf("one") <= 2, `it was number ${ended.indexOf("one")}`);
  });

  test("defect 8: a heavy work of a tenant goes on while light ones keep coming", async () => {
    const turns = new Turns();
    let heavyIsDone = false;
    const light = Array.from({ length: 3 }, () =>
      turns.run(
        workUntil(() => heavyIsDone),
        place({ weight: 10 }),
        never(),
      ),
    );
    await turns.run(
      slowSteps(3, () => {}),
      place({ weight: 1e6 }),
      never(),
    );
    heavyIsDone = true;
    assert.deepEqual(await Promise.all(light), ["done", "done", "done"]);
  });
});
