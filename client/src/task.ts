/** What the client must know of a task. All else that it does is the same for every task and must not name one. */
import type { ItemError } from "./wire/index.js";

export interface Task<Result extends object> {
  /** Where its requests go, relative to the server's address. */
  readonly path: string;
  /** A line of a reply, without its index, as the caller gets it; null: it is no result of this task. */
  readResult(value: object): Result | null;
  /** How many items the server made of the input with this result. */
  itemsOf(result: Result): number;
}

/** What a call asks for: one result for each value, in the field of the body where the task's requests have them. */
export interface Inputs {
  readonly field: string;
  readonly values: readonly unknown[];
  /** The values are blobs, and travel as the files of a form. */
  readonly areFiles?: true;
  /** How long they are together, in characters, token ids or bytes. */
  readonly characters: number;
  /** No server makes more items of them than this. */
  readonly itemsMax: number;
}

/** How inputs of one kind become requests. */
export interface Gathering<Value> {
  /** Characters of a text, bytes of a picture. */
  sizeOf(value: Value): number;
  /** Throws where a value is none that the task takes. */
  inputsOf(values: readonly Value[]): Inputs;
  /** What a request of a long source has at most, unless its caller says otherwise. */
  readonly requestInputsMax: number;
  readonly requestSizeMax: number;
}

export type Outcome<Result extends object> = Result | ItemError;

/** The outcome of one input, with its place in the call. */
export type Indexed<Result extends object> = { readonly index: number } & Outcome<Result>;

/** What came for the input at `index`. */
export interface Arrival<Result extends object> {
  readonly index: number;
  readonly outcome: Outcome<Result>;
}
