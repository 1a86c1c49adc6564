/** The answers to the pieces of one input, whatever order they come in, until the task can join them. */
import type { WireError } from "millrace-client/wire";
import type { TaskModel } from "../../tasks/task.js";
import type { JsonObject, JsonValue, Payload } from "../../work/payload.js";
import type { Piece } from "../../work/piece.js";
import type { InputOutcome } from "../submit.js";

export interface InputParts {
  readonly pieces: readonly Piece[];
  readonly note: JsonValue;
  readonly settings: JsonObject;
  readonly task: TaskModel;
}

export class InputAssembly {
  readonly #parts: InputParts;
  #answers: Payload[] = [];
  #missing: number;
  #ended = false;

  constructor(parts: InputParts) {
    this.#parts = parts;
    this.#missing = parts.pieces.length;
  }

  /** The whole once its last piece is there; null before, and after it failed. */
  add(piece: number, answer: Payload): InputOutcome | null {
    if (this.#ended) return null;
    this.#answers[piece] = answer;
    this.#missing -= 1;
    return this.whenComplete();
  }

  /** Of an input without pieces at once, of any other after the last `add`. Throws what the task's `join` throws. */
  whenComplete(): InputOutcome | null {
    if (this.#missing > 0 || this.#ended) return null;
    const { pieces, note, settings, task } = this.#parts;
    const answers = this.#end();
    return { value: task.join({ pieces, note, answers, settings }) };
  }

  /** One piece failed, and its input with it; null where that was said already. */
  fail(error: WireError): InputOutcome | null {
    if (this.#ended) return null;
    this.#end();
    return { error };
  }

  /** The answers go with it: they may hold more than the request did, and others of it may take long. */
  #end(): readonly Payload[] {
    this.#ended = true;
    const answers = this.#answers;
    this.#answers = [];
    return answers;
  }
}
