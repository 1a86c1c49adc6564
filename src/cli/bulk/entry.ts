/** What such a command works on, one by one, and where each came from. */
import type { ItemError, MillraceError } from "millrace-client";

export type InputPlace =
  | {
      readonly kind: "line";
      /** From 1. */
      readonly line: number;
      /** Null where it was no text. */
      readonly text: string | null;
    }
  | {
      readonly kind: "file";
      /** From 0, among the files that are taken. */
      readonly index: number;
      /** Relative to the folder, with `/` on every system. */
      readonly file: string;
    };

export interface BulkEntry<Value> {
  readonly place: InputPlace;
  /** An error is handed on as its outcome; null: there is nothing in it, and it is not sent. */
  readonly input: Value | MillraceError | null;
}

export interface BulkSource<Value> {
  readonly entries: AsyncIterable<BulkEntry<Value>>;
  /** How many entries there are in all, those of an earlier run too; null where only the end will tell. */
  readonly count: ((signal: AbortSignal) => Promise<number>) | null;
}

/** Null: the entry was not sent. */
export type BulkOutcome<Result extends object> = Result | ItemError | null;

/** Takes outcomes in the order of the entries. */
export interface BulkOutput<Result extends object> {
  put(place: InputPlace, outcome: BulkOutcome<Result>): Promise<void>;
  /** The next outcome is some time away: what waits may be written. */
  flush?(): Promise<void>;
}

export function inputName(place: InputPlace): string {
  return place.kind === "line" ? `line ${place.line}` : place.file;
}
