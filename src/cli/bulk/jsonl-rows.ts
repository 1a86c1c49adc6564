/** `.jsonl`: a line for each entry, with its place and its result or error. */
import { createReadStream } from "node:fs";
import { type ItemError, MillraceError } from "millrace-client";
import { BufferedFile } from "./buffered-file.js";
import type { BulkOutcome, InputPlace } from "./entry.js";
import { splitLines } from "./lines.js";
import type { RowsFormat, RowsOutput, WholeRows } from "./rows.js";
import { wholeLines } from "./whole-lines.js";

/** A result as JSON has it. */
export type Plain<Result extends object> = (result: Result) => object;

export function jsonlLine<Result extends object>(
  place: InputPlace,
  outcome: BulkOutcome<Result>,
  plain: Plain<Result>,
): string {
  const where =
    place.kind === "line"
      ? { line: place.line, ...(place.text === null ? {} : { text: place.text }) }
      : { index: place.index, file: place.file };
  const what = outcome === null ? {} : isError(outcome) ? outcome : plain(outcome);
  return `${JSON.stringify({ ...where, ...what })}\n`;
}

function isError<Result extends object>(
  outcome: NonNullable<BulkOutcome<Result>>,
): outcome is ItemError {
  return "error" in outcome;
}

export function jsonlRows<Result extends object>(plain: Plain<Result>): RowsFormat<Result> {
  return {
    wholeRows,
    open: async (path, { bytes: keptBytes }) =>
      new JsonlRows(await BufferedFile.open(path, { keptBytes }), plain),
  };
}

class JsonlRows<Result extends object> implements RowsOutput<Result> {
  readonly #file: BufferedFile;
  readonly #plain: Plain<Result>;

  constructor(file: BufferedFile, plain: Plain<Result>) {
    this.#file = file;
    this.#plain = plain;
  }

  get isDue(): boolean {
    return this.#file.isDue;
  }

  add(place: InputPlace, outcome: BulkOutcome<Result>): void {
    this.#file.add(Buffer.from(jsonlLine(place, outcome, this.#plain)));
  }

  async flush(): Promise<void> {
    await this.#file.flush();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file[Symbol.asyncDispose]();
  }
}

/** The last whole line must be the one that stands there by its number. */
async function wholeRows(path: string): Promise<WholeRows> {
  const { rows, bytes, lastFrom } = await wholeLines(path);
  if (rows > 0) {
    const last = createReadStream(path, { start: lastFrom, end: bytes - 1 });
    for await (const line of splitLines(last)) {
      if (numberOf(line) !== rows) throw foreign(path, rows);
    }
  }
  return { rows, bytes };
}

/** From 1; null where the line is none of ours. */
function numberOf(line: string | MillraceError): number | null {
  if (line instanceof MillraceError) return null;
  try {
    const value = JSON.parse(line) as { line?: unknown; index?: unknown } | null;
    if (typeof value?.line === "number") return value.line;
    return typeof value?.index === "number" ? value.index + 1 : null;
  } catch {
    return null;
  }
}

/** The files of the rows in order, for a folder's run. */
export async function* filesOf(path: string, { bytes }: WholeRows): AsyncGenerator<string> {
  if (bytes === 0) return;
  let row = 0;
  for await (const line of splitLines(createReadStream(path, { end: bytes - 1 }))) {
    row += 1;
    const file = fileOf(line);
    if (file === null) throw foreign(path, row);
    yield file;
  }
}

function fileOf(line: string | MillraceError): string | null {
  if (line instanceof MillraceError) return null;
  try {
    const value = JSON.parse(line) as { file?: unknown } | null;
    return typeof value?.file === "string" ? value.file : null;
  } catch {
    return null;
  }
}

function foreign(path: string, row: number): MillraceError {
  return new MillraceError("output_exists", `${path} is there, and its line ${row} is not ours`);
}
