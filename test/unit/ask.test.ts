/** How every front asks: outcomes in order or as they come, each once, within what a request may have. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { GuardedSubmit } from "#src/access/guarded-submit.js";
import { ask, askEach, type Question, valuesOf } from "#src/front/ask.js";
import { resolveConfiguration } from "#src/options/resolve.js";
import type { Submit, SubmitRequest } from "#src/submit/submit.js";
import type { Asker } from "#src/work/asker.js";
import { anyCaller } from "#src/work/caller.js";
import type { Payload } from "#src/work/payload.js";

const question: Question = { task: "made", model: null, fields: {}, payloadBytes: 7 };

/** Has outcomes in this order for so many inputs. */
class MadeSubmit implements Submit {
  readonly tasks: Submit["tasks"] = new Map();
  readonly asked: SubmitRequest[] = [];
  readonly #order: readonly number[];
  readonly #inputs: number;

  constructor(order: readonly number[], inputs: number = order.length) {
    this.#order = order;
    this.#inputs = inputs;
  }

  submit: Submit["submit"] = async (request, _signal, events) => {
    this.asked.push(request);
    await Promise.resolve();
    events.onAccepted?.();
    for (const index of this.#order) events.onOutcome({ index, outcome: { value: made(index) } });
    const timings = { prepareMs: 1, queueMs: 1, computeMs: 1, totalMs: 3 };
    const { task } = request;
    return { task, model: "m", class: "bulk", inputs: this.#inputs, timings, pipelines: {} };
  };
}

function made(index: number): Payload {
  return { values: { index }, tensors: {} };
}

function partsOf(submit: Submit) {
  const { options } = resolveConfiguration({ code: { requestTimeoutMsMax: 600_000 } });
  const finished: string[] = [];
  const metrics = { requestFinished: (of: string) => void finished.push(of) } as never;
  return { submit: new GuardedSubmit(submit), options, metrics, finished };
}

function newAsker(): Asker {
  const departed = new AbortController().signal;
  return { id: "1", caller: anyCaller, arrivedAtMs: 1_000, departed, workClass: "none" };
}

test("outcomes are in the order of the inputs, and whoever asked knows the class", async () => {
  const parts = partsOf(new MadeSubmit([2, 0, 1]));
  const asker = newAsker();
  const values = valuesOf(await ask(parts, asker, question));
  assert.deepEqual(values, [made(0), made(1), made(2)]);
  assert.deepEqual([asker.workClass, parts.finished], ["bulk", ["bulk"]]);
});

test("defect: an outcome is told once, and so is that the request was accepted", async () => {
  const told: (string | number)[] = [];
  await askEach(partsOf(new MadeSubmit([1, 0])), newAsker(), {
    ...question,
    onAccepted: () => void told.push("accepted"),
    onOutcome: ({ index }) => void told.push(index),
  });
  assert.deepEqual(told, ["accepted", 1, 0]);
});

test("nobody gets more time than a request may have, or a longer name", async () => {
  const submit = new MadeSubmit([0]);
  await ask(partsOf(submit), newAsker(), { ...question, timeoutMs: 1e9, tenant: "x".repeat(999) });
  const [request] = submit.asked;
  assert.equal(request?.deadlineAtMs, 601_000);
  assert.equal(request?.isDeadlineNamed, false, "it is the server's");
  assert.ok((request?.tenant.length ?? 999) < 999);
});

test("an input without an outcome is a bug that is named, and no reply", async () => {
  await assert.rejects(ask(partsOf(new MadeSubmit([0], 2)), newAsker(), question), {
    message: "submit: no outcome for input 1",
  });
});
