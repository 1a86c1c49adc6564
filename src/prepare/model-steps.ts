/** What prepare needs of a task on one model; a task's opened model is one. */
import { MillraceError } from "millrace-client/wire";
import type { JsonObject } from "../work/payload.js";
import type { PrepareStep } from "../work/piece.js";

export interface ModelSteps {
  /** What the same folder is prepared for beside its own task, by the names of tasks. */
  readonly lent?: ReadonlyMap<string, ModelSteps>;
  /** About how long preparing takes, in characters of text. Quick, and never throws. */
  weigh(input: unknown, settings: JsonObject): number;
  /**
   * How many pieces come of the input at least: numbers whose sum that is, each in a millisecond at most. It takes a
   * fraction of the time of `steps`, so that a request that never fits is refused before it is prepared; a few too few do
   * no harm. Left out where an input is one piece.
   */
  leastPieces?(input: unknown, settings: JsonObject): Iterable<number>;
  /** Pieces, and at last one `end` or one `error`. */
  steps(
    input: unknown,
    at: { readonly index: number; readonly settings: JsonObject },
  ): Iterable<PrepareStep>;
}

/** Of the model's own task, or of one that it serves beside it. */
export function stepsOfTask(model: ModelSteps, task: string | undefined): ModelSteps {
  return model.lent?.get(task ?? "") ?? model;
}

/** Inputs of one request that lie next to each other. */
export interface InputRun {
  readonly inputs: readonly unknown[];
  /** The first one's place in its request. */
  readonly firstIndex: number;
  readonly settings: JsonObject;
}

/** See `leastPieces`. What throws there says nothing of its input: `steps` will. */
export function* leastPiecesOf(
  model: ModelSteps,
  { inputs, settings }: InputRun,
): Generator<number> {
  for (const input of inputs) {
    try {
      yield* model.leastPieces?.(input, settings) ?? [];
    } catch {
      yield 0;
    }
  }
}

/** The same from where another thread left it. Preparing gives the same each time: pieces that are there already are made again and left out. */
export function* stepsFrom(
  model: ModelSteps,
  run: InputRun & { readonly skipPieces: number },
): Generator<PrepareStep> {
  let skip = run.skipPieces;
  for (const step of stepsOf(model, run)) {
    if (step.kind === "piece" && skip > 0) {
      skip -= 1;
      yield { kind: "pause" };
      continue;
    }
    if (step.kind === "end" || step.kind === "error") skip = 0;
    yield step;
  }
}

/** One `end` or `error` for each input, in order. What throws fails its input and no other. */
export function* stepsOf(model: ModelSteps, run: InputRun): Generator<PrepareStep> {
  const { inputs, firstIndex, settings } = run;
  for (const [offset, input] of inputs.entries()) {
    try {
      yield* model.steps(input, { index: firstIndex + offset, settings });
    } catch (cause) {
      const message = `the input cannot be prepared: ${String(cause)}`;
      const error = new MillraceError("internal", message, { cause });
      yield { kind: "error", error: error.toWire() };
    }
  }
}
