/** Long results become text in turns, and none of it is lost, told twice, or told to who has left. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { resultSteps } from "#src/front/result-json.js";
import { TextTurns } from "#src/front/text-turns.js";
import { vectorSteps } from "#src/front/vectors.js";
import { taskOf } from "#src/tasks/table.js";
import type { Payload } from "#src/work/payload.js";

const form = { ...taskOf({ task: "embed" }), name: "embed" };

function perToken(tokens: number, width: number): Payload {
  const data = Float32Array.from({ length: tokens * width }, (_, at) => Math.fround(at / 7));
  const embedding = { type: "float32", shape: [tokens, width], data } as const;
  return { values: { inputTokens: tokens }, tensors: { embedding } };
}

function text(steps: Generator<undefined, string>): {
  readonly all: string;
  readonly count: number;
} {
  for (let count = 0; ; count += 1) {
    const next = steps.next();
    if (next.done === true) return { all: next.value, count };
  }
}

test("defect: a vector for each token is written in many steps, and says the same", () => {
  const value = perToken(512, 64);
  const rows = text(vectorSteps(value));
  const whole = text(resultSteps({ value }, form));
  assert.ok(rows.count >= 500, String(rows.count));
  assert.ok(whole.count >= 20, String(whole.count));
  const { inputTokens, embedding } = JSON.parse(whole.all) as {
    readonly inputTokens: number;
    readonly embedding: readonly (readonly number[])[];
  };
  assert.equal(inputTokens, 512);
  assert.deepEqual(embedding, JSON.parse(rows.all));
  const data = value.tensors["embedding"]?.data;
  assert.deepEqual(Float32Array.from(embedding.flat()), data);
});

test("short ones are told at once, long ones by the end, in their order; what a step throws is thrown", async () => {
  const told: string[] = [];
  const steps = function* (name: string, count: number): Generator<undefined, string> {
    for (let step = 0; step < count; step += 1) yield;
    return name;
  };
  using turns = new TextTurns();
  for (const [name, count] of [
    ["a", 3],
    ["b", 0],
    ["c", 5],
  ] as const) {
    turns.add(steps(name, count), (each) => told.push(each));
  }
  assert.ok(told.includes("b"));
  await turns.end();
  assert.deepEqual(told.toSorted(), ["a", "b", "c"]);
  const breaks = function* (at: number): Generator<undefined, string> {
    for (let step = 0; step < at; step += 1) yield;
    throw new Error(`at ${at}`);
  };
  assert.throws(() => turns.add(breaks(0), assert.fail), /at 0/);
  turns.add(breaks(2), assert.fail);
  await assert.rejects(turns.end(), /at 2/);
});

test("nobody who has left is told", async () => {
  const turns = new TextTurns();
  const endless = function* (): Generator<undefined, string> {
    for (;;) yield;
  };
  turns.add(endless(), assert.fail);
  turns[Symbol.dispose]();
  await turns.end();
  await setImmediate();
});
