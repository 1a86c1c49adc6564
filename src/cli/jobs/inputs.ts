/** A file, or standard input → the inputs of a job, read as they are sent. A file can be read again. */
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { type JobInput, type JobInputs, MillraceError } from "millrace-client";
import { unusable } from "../bulk/flags.js";
import { readStdin, splitLines } from "../bulk/lines.js";

export interface InputsFrom {
  /** Null or `-`: standard input. */
  readonly path: string | null;
  /** A line is JSON: a text, or the fields of a request. Else it is a text as it stands, blank ones too. */
  readonly isJson: boolean;
  readonly flag: string;
}

/** @throws MillraceError `option_invalid` where it cannot be read; what is wrong with a line is thrown when it is read */
export async function jobInputs(
  { path, isJson, flag }: InputsFrom,
  signal: AbortSignal,
): Promise<JobInputs> {
  if (path === null || path === "-") return inputsOf(readStdin(signal), isJson);
  try {
    await using file = await open(path);
    if ((await file.stat()).isDirectory()) throw unusable(flag, path, "it is a folder");
  } catch (error) {
    throw error instanceof MillraceError ? error : unusable(flag, path, error);
  }
  return {
    [Symbol.asyncIterator]: () => inputsOf(createReadStream(path, { signal }), isJson),
  };
}

async function* inputsOf(
  chunks: AsyncIterable<Uint8Array>,
  isJson: boolean,
): AsyncGenerator<JobInput, void, undefined> {
  let line = 0;
  for await (const text of splitLines(chunks)) {
    line += 1;
    if (text instanceof MillraceError) throw wrong(line, text.code, text.message);
    if (!isJson) yield text;
    else if (text.trim() !== "") yield readInput(text, line);
  }
}

function readInput(text: string, line: number): JobInput {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw wrong(line, "bad_request", "it is not JSON");
  }
  if (typeof value === "string" || (typeof value === "object" && value !== null)) {
    return value as JobInput;
  }
  throw wrong(line, "bad_request", "it is neither a text nor an object");
}

function wrong(line: number, code: MillraceError["code"], what: string): MillraceError {
  return new MillraceError(code, `line ${line}: ${what}; nothing was submitted`);
}
