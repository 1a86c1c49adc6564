import assert from "node:assert/strict";
import { test } from "node:test";
import { Answers } from "#src/submit/nats/answers.js";
import type { SubmitOutcome } from "#src/submit/submit.js";
import { valuesOnly } from "#src/work/payload.js";

const value = valuesOnly({ text: "x" });
const timings = { prepareMs: 1, queueMs: 2, computeMs: 3, totalMs: 9 };

test("whoever says it, and however often: each input has one outcome", () => {
  const had: SubmitOutcome[] = [];
  const answers = new Answers({ inputs: 3, onOutcome: (outcome) => had.push(outcome) });
  assert(answers.take({ index: 1, value }));
  const error = { code: "item_failed", message: "no", retryable: false } as const;
  for (const index of [1, 3, -1, 0.5])
    assert.equal(answers.take({ index, error }), false, String(index));
  assert.deepEqual(answers.missing, [0, 2]);
  assert(answers.take({ index: 2, error }));
  answers.failRest({ code: "worker_lost", message: "gone", retryable: true });
  assert(answers.isWhole);
  assert.deepEqual(
    had.map(({ index }) => index),
    [1, 2, 0],
  );
  assert.deepEqual(had[0]?.outcome, { value });
});

test("phases of several nodes follow one another, and each is named with what it did", () => {
  const answers = new Answers({ inputs: 1, onOutcome: () => {} });
  const of = { task: "t", model: "m", class: "bulk" } as const;
  answers.add("n1", { ...of, inputs: 2, timings, pipelines: { p: 2 } });
  answers.addLost("n2", 4);
  answers.addLost("n2", 0);
  answers.add("n1", { ...of, class: "realtime", inputs: 2, timings, pipelines: { p: 1, q: 5 } });
  const summary = answers.summary({ ...of, class: "realtime" }, 70);
  assert.deepEqual(summary.pipelines, { "n1/p": 3, n2: 4, "n1/q": 5 });
  assert.deepEqual(summary.timings, { prepareMs: 2, queueMs: 4, computeMs: 6, totalMs: 70 });
  assert.equal(summary.class, "bulk", "as the first said");
});

test("parts that nodes did beside one another have the phases of the whole", () => {
  const answers = new Answers({ inputs: 3, onOutcome: () => {} });
  const of = { task: "t", model: "m", class: "bulk" } as const;
  const part = { ...of, inputs: 1, pipelines: { p: 1 } };
  const first = { prepareMs: 5, queueMs: 10, computeMs: 80, totalMs: 95 };
  answers.addBeside("n1", { ...part, timings: first }, 0);
  answers.addBeside("n2", { ...part, timings: { ...first, prepareMs: 8, totalMs: 98 } }, 2);
  answers.addBeside("n1", { ...part, timings: first }, 50);
  const { timings, pipelines } = answers.summary(of, 150);
  // From 15 ms, when the first was with a pipeline, until 145; the last waited until 60.
  assert.deepEqual(timings, { prepareMs: 8, queueMs: 60, computeMs: 130, totalMs: 150 });
  assert.deepEqual(pipelines, { "n1/p": 2, "n2/p": 1 });
});
