/** What the client must know of a task. All else that it does is the same for every task and must not name one. */
import type { ItemError } from "./wire/index.js";

export interface Task<Result extends object> {
  /** Where its requests go, relative to the server's address. */
  readonly path: string;
  /** Whether a line of a reply, without its index, is a result of this task. */
  isResult(value: object): value is Result;
  /** How many items the server made of the input with this result. */
  itemsOf(result: Result): number;
}

/** What a call asks for: one result for each value, in the field of the body where the task's requests have them. */
export interface Inputs {
  readonly field: string;
  readonly values: readonly unknown[];
  /** How long they are together, in characters or token ids. */
  readonly characters: number;
  /** No server makes more items of them than this. */
  readonly itemsMax: number;
}

export type Outcome<Result extends object> = Result | ItemError;

/** What came for the input at `index`. */
export interface Arrival<Result extends object> {
  readonly index: number;
  readonly outcome: Outcome<Result>;
}
