/** A task without a tokenizer: an input is a list of pieces, a piece a list of numbers, and its result is the triple of each. */
import type { Task, TaskModel } from "#src/tasks/task.js";
import { int32List, type Payload, valuesOnly } from "#src/work/payload.js";
import type { Piece } from "#src/work/piece.js";
import type { PiecePlan } from "./plan.js";

/** A piece in the world: its plan under a number that is its own in the schedule. */
export interface NumberedPiece {
  readonly number: number;
  readonly plan: PiecePlan;
}

export function makePiece({ number, plan }: NumberedPiece): Piece {
  const { units, width, rows, bytes, batchKey } = plan;
  const payload = { values: { number }, tensors: { numbers: int32List(numbersOf(number)) } };
  return { payload, cost: { units, width, rows, bytes, batchKey }, note: number };
}

/** What the engine was asked: the number that says which piece it is. */
export function numberOf({ values }: Payload): number {
  return Number(values["number"]);
}

/** What a good engine makes of it. */
export function answerTo(payload: Payload): Payload {
  const numbers = [...(payload.tensors["numbers"]?.data ?? [])].map((value) => 3 * Number(value));
  return { values: { finite: true }, tensors: { tripled: int32List(numbers) } };
}

export const badAnswer: Payload = { values: { finite: false }, tensors: {} };

/** What the caller must get for these pieces. */
export function rightResult(numbers: readonly number[]): string {
  return numbers
    .map((number) =>
      numbersOf(number)
        .map((value) => 3 * value)
        .join(" "),
    )
    .join("; ");
}

export function textOf({ values: { text } }: Payload): string {
  return typeof text === "string" ? text : "";
}

function numbersOf(number: number): number[] {
  return Array.from({ length: 1 + (number % 3) }, (_, at) => 7 * number + at);
}

const taskModel: TaskModel = {
  complete: (settings) => settings,
  weigh: () => 1,
  steps: () => [],
  checkResult: ({ values }) => (values["finite"] === true ? null : "not finite"),
  join: ({ pieces, answers }) =>
    valuesOnly({
      text: pieces
        .map((_, at) => [...(answers[at]?.tensors["tripled"]?.data ?? [])].join(" "))
        .join("; "),
    }),
};

const task: Task = {
  name: "triple",
  fields: ["inputs"],
  read: ({ inputs }) => ({ inputs: inputs as readonly unknown[], settings: {}, bytes: 0 }),
  open: () => Promise.resolve(taskModel),
};

export const tripling: { readonly task: Task; readonly taskModel: TaskModel } = { task, taskModel };
