/** What a key may use, and what it has used, at the door: before anything is taken, and without a word of others' models. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { MillraceError } from "millrace-client/wire";
import { Admission } from "#src/submit/admission.js";
import { Door } from "#src/submit/local/door.js";
import type { SubmitRequest } from "#src/submit/submit.js";
import { systemClock } from "#src/work/clock.js";
import { numbersTask } from "../support/numbers-task.js";

const { signal } = new AbortController();

function doorOf(...names: readonly string[]): {
  readonly door: Door;
  readonly admission: Admission;
} {
  const { task, model: taskModel } = numbersTask();
  const limits = { queuedItemsMax: 100, queuedBytesMax: 1_000_000 };
  const admission = new Admission(limits, systemClock);
  const door = new Door({
    tasks: new Map([[task.name, task]]),
    models: new Map(names.map((name) => [name, { name, task, taskModel, key: name }])),
    requestInputsMax: 1_000,
    admission,
    refusalOf: () => null,
  });
  return { door, admission };
}

function request(more: Partial<SubmitRequest>): SubmitRequest {
  const fields = { texts: ["1.", "2."] };
  const none = { model: null, class: null, deadlineAtMs: null } as const;
  return { id: "r", task: "numbers", tenant: "t", payloadBytes: 10, fields, ...none, ...more };
}

test("who may use some models only is given the only one of these, and hears of no other", () => {
  const { door } = doorOf("own", "mine", "secret");
  assert.equal(door.enter(request({ models: ["own"] }), signal).model.name, "own");
  assert.equal(
    door.enter(request({ models: ["own", "mine"], model: "mine" }), signal).model.name,
    "mine",
  );
  for (const [more, why] of [
    [{ models: ["own", "mine"] }, /^name a model; there are: own, mine$/],
    [{ models: ["own"], model: "gone" }, /^there is no model gone; there are: own$/],
    [{ models: ["gone"] }, /^no model is served for numbers; /],
    [{}, /there are: own, mine, secret$/],
  ] as const) {
    assert.throws(
      () => door.enter(request(more), signal),
      (error) =>
        error instanceof MillraceError &&
        error.code === "model_not_found" &&
        why.test(error.message),
    );
  }
});

test("inputs are told of before there is room or none; what is refused then has taken nothing", () => {
  const { door, admission } = doorOf("own");
  const told: number[] = [];
  const refuse = (inputs: readonly unknown[]): void => {
    told.push(inputs.length);
    throw new MillraceError("rate_limited", "no more");
  };
  assert.throws(() => door.enter(request({}), signal, refuse), { code: "rate_limited" });
  assert.deepEqual([told, admission.held.items], [[2], 0]);
  const many = request({ fields: { texts: Array.from({ length: 200 }, () => "1.") } });
  const accept = (inputs: readonly unknown[]): void => void told.push(inputs.length);
  assert.throws(() => door.enter(many, signal, accept), { code: "too_many_items" });
  assert.deepEqual(told, [2, 200], "whoever counts is told, and takes it back");
});
