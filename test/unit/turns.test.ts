import assert from "node:assert/strict";
import { test } from "node:test";
import { Turns } from "#src/prepare/turns.js";

const never = new AbortController().signal;

/** Works until the condition holds: for ever, where others get no turn. */
function* workUntil(condition: () => boolean): Generator<void, string> {
  while (!condition()) yield;
  return "done";
}

test("a long job does not keep others, nor timers, from their turn", async () => {
  const turns = new Turns();
  let shortIsDone = false;
  let timerFired = false;
  const long = turns.run(
    workUntil(() => shortIsDone && timerFired),
    never,
  );
  const short = turns.run(
    workUntil(() => true),
    never,
  );
  setTimeout(() => {
    timerFired = true;
  }, 1);
  assert.equal(await short, "done");
  shortIsDone = true;
  assert.equal(await long, "done");
});

test("a job that throws fails alone", async () => {
  const turns = new Turns();
  const broken = turns.run(
    workUntil(() => {
      throw new Error("broken");
    }),
    never,
  );
  const whole = turns.run(
    workUntil(() => true),
    never,
  );
  await assert.rejects(broken, /broken/);
  assert.equal(await whole, "done");
});

test("a job whose caller left ends at its next turn", async () => {
  const turns = new Turns();
  const left = new AbortController();
  let steps = 0;
  const work = turns.run(
    workUntil(() => {
      steps += 1;
      left.abort();
      return steps > 1_000_000_000;
    }),
    left.signal,
  );
  await assert.rejects(work, { name: "AbortError" });
  const stepsWhenItEnded = steps;
  assert.equal(
    await turns.run(
      workUntil(() => true),
      never,
    ),
    "done",
  );
  assert.equal(steps, stepsWhenItEnded);
});
