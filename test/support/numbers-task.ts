/**
 * A task for the tests of submit: a text is sentences of numbers that end with a full stop, `1 2 3. 4 5.`, and each
 * sentence is a piece whose tokens are the numbers; `bad` is refused. Its result is the tokens that came back.
 */
import type { Prepare } from "#src/prepare/prepare.js";
import type { Task, TaskModel } from "#src/tasks/task.js";
import { generationPayload, readHypotheses } from "#src/work/generation.js";
import { valuesOnly } from "#src/work/payload.js";
import type { PreparedInput, PrepareStep } from "#src/work/piece.js";

type Settings = Readonly<Record<"beams" | "nBest" | "maxLength" | "lengthPenalty", number>>;

const defaults: Settings = { beams: 1, nBest: 1, maxLength: 9, lengthPenalty: 1 };

export function numbersTask(): { readonly task: Task; readonly model: TaskModel } {
  const model: TaskModel = {
    complete: (settings) => ({ ...defaults, ...settings }),
    weigh: (input) => String(input).length,
    steps: (input, { settings }) => stepsOf(String(input), settings as unknown as Settings),
    checkResult: (value) => (readHypotheses(value) === null ? "no list of scored tokens" : null),
    join: ({ pieces, answers }) => {
      const best = answers.map((answer) => readHypotheses(answer)?.[0]?.tokenIds.join(" ") ?? "");
      return valuesOnly({
        text: best.map((text, at) => text + joinerOf(pieces[at]?.note)).join(""),
      });
    },
  };
  const task: Task = {
    name: "numbers",
    inputFields: ["texts"],
    fields: ["texts", "beams", "nBest", "maxLength", "lengthPenalty"],
    read: ({ texts, ...settings }) => ({
      inputs: texts as readonly string[],
      bytes: 0,
      settings: settings as Readonly<Record<string, number>>,
    }),
    open: () => Promise.resolve(model),
  };
  return { task, model };
}

/** Prepares in the turn of the call, piece by piece, and counts them. */
export function prepareAtOnce(model: TaskModel): Prepare {
  return {
    prepare({ inputs, settings, budget }) {
      const prepared: PreparedInput[] = [];
      for (const [index, input] of inputs.entries()) {
        const pieces = [];
        for (const step of model.steps(input, { index, settings })) {
          if (step.kind === "piece") {
            budget.take(1, step.piece.cost.bytes);
            pieces.push(step.piece);
          } else if (step.kind === "end") prepared.push({ ok: true, pieces, note: step.note });
          else if (step.kind === "error") prepared.push({ ok: false, error: step.error });
        }
      }
      return Promise.resolve(prepared);
    },
  };
}

function* stepsOf(text: string, settings: Settings): Generator<PrepareStep> {
  if (text === "bad") {
    yield { kind: "error", error: { code: "input_too_long", message: "bad", retryable: false } };
    return;
  }
  for (const match of text.matchAll(/([\d ]+)\.(\s*)/g)) {
    const tokenIds = (match[1] ?? "").trim().split(" ").map(Number);
    const payload = generationPayload({ tokenIds, settings });
    const { length } = tokenIds;
    const cost = { units: length, width: length, rows: settings.beams, bytes: 8, batchKey: "" };
    yield { kind: "piece", piece: { payload, cost, note: match[2] ?? "" } };
  }
  yield { kind: "end", note: null };
}

function joinerOf(note: unknown): string {
  return typeof note === "string" ? note : "";
}
