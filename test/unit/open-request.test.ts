/** A request whose inputs need no model: answered in order, and in turns. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { OpenRequest } from "#src/submit/local/open-request.js";
import type { TaskModel } from "#src/tasks/task.js";
import type { Clock } from "#src/work/clock.js";
import { valuesOnly } from "#src/work/payload.js";

/** Every look at it costs three milliseconds, and what was put off waits for `turn`. */
class CostlyClock implements Clock {
  #nowMs = 0;
  #waiting: (() => void)[] = [];

  now(): number {
    this.#nowMs += 3;
    return this.#nowMs;
  }

  after(_delayMs: number, action: () => void): () => void {
    this.#waiting.push(action);
    return () => {};
  }

  async turn(): Promise<void> {
    for (const action of this.#waiting.splice(0)) action();
    await new Promise(setImmediate);
  }
}

function opened(count: number, onOutcome: (index: number) => void): OpenRequest {
  const model = { join: () => valuesOnly({}) } as unknown as TaskModel;
  return new OpenRequest({
    task: { name: "tokenize", model },
    model: "any",
    key: "any",
    class: "realtime",
    tenant: "default",
    deadlineAtMs: null,
    settings: {},
    inputs: Array.from({ length: count }, () => ({ ok: true, pieces: [], note: null })),
    arrivedAtMs: 0,
    queuedAtMs: 0,
    onFurtherBytes: () => {},
    onOutcome: ({ index }) => onOutcome(index),
  });
}

test("defect: a thousand inputs that need no model held the event loop until all were answered", async () => {
  const clock = new CostlyClock();
  const answered: number[] = [];
  const open = opened(10, (index) => answered.push(index));
  const all = Promise.all([open.answerAtOnce(clock), open.done]);
  const turns: number[] = [];
  while (answered.length < 10) {
    turns.push(answered.length);
    await clock.turn();
  }
  await clock.turn();
  await all;
  assert.deepEqual(answered, [...Array(10).keys()]);
  assert.deepEqual(turns, [3, 6, 9]);
});

test("who leaves between two turns is told nothing more", async () => {
  const clock = new CostlyClock();
  const answered: number[] = [];
  const open = opened(10, (index) => answered.push(index));
  const rejected = assert.rejects(Promise.all([open.answerAtOnce(clock), open.done]), /left/);
  open.abandon(new Error("left"));
  await clock.turn();
  await rejected;
  assert.deepEqual(answered, [0, 1, 2]);
});
