/** Bytes → lines, one by one: what is in memory is a chunk and the line that has begun, however long the file is. */
import { isUtf8 } from "node:buffer";
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { MillraceError } from "millrace-client";
import { lineFeed } from "../../work/line-feed.js";
import type { BulkEntry, BulkSource } from "./entry.js";
import { unusable } from "./flags.js";
import type { InputPrefix } from "./input-prefix.js";

const carriageReturn = 0x0d;
/** A longer line is an error by itself: no server takes as much by default. */
const lineBytesMax = 16 * 1024 * 1024;

export interface LinesOptions {
  /** Lines that were done by an earlier run, and where the next one begins. */
  readonly linesBefore: number;
  readonly startByte: number;
  /** Hears of what was read. */
  readonly prefix: InputPrefix | null;
  /** What stands for a blank line: null where it is not sent. */
  readonly blank: "" | null;
}

/** Texts that are there already, as lines. */
export function linesOf(
  texts: readonly string[],
  { blank }: Pick<LinesOptions, "blank">,
): BulkSource<string> {
  const entries = texts.map((text, index): BulkEntry<string> => {
    const place = { kind: "line", line: index + 1, text } as const;
    return { place, input: blank === null && text.trim() === "" ? null : text };
  });
  return { entries: toAsync(entries), count: async () => await Promise.resolve(texts.length) };
}

async function* toAsync<Value>(values: Iterable<Value>): AsyncGenerator<Value> {
  yield* values;
}

/** Lines of `path`, or of standard input where that is null or `-`. */
export async function lineSource(
  path: string | null,
  options: LinesOptions & { readonly flag: string },
  signal: AbortSignal,
): Promise<BulkSource<string>> {
  if (path === null || path === "-") {
    return { entries: lineEntries(readStdin(signal), options), count: null };
  }
  const { flag, startByte: start } = options;
  try {
    await using file = await open(path);
    if ((await file.stat()).isDirectory()) throw unusable(flag, path, "it is a folder");
  } catch (error) {
    throw error instanceof MillraceError ? error : unusable(flag, path, error);
  }
  return {
    entries: lineEntries(createReadStream(path, { start, signal }), options),
    count: (counting) => countLines(createReadStream(path, { signal: counting })),
  };
}

async function* lineEntries(
  chunks: AsyncIterable<Uint8Array>,
  { linesBefore, startByte, prefix, blank }: LinesOptions,
): AsyncGenerator<BulkEntry<string>> {
  let line = linesBefore;
  const read = prefix === null ? chunks : prefix.watch(chunks, startByte);
  for await (const text of splitLines(read)) {
    line += 1;
    const place = { kind: "line", line, text: typeof text === "string" ? text : null } as const;
    const isBlank = typeof text === "string" && text.trim() === "";
    yield { place, input: isBlank && blank === null ? null : text };
  }
  prefix?.end();
}

/** Lines end with a line feed, or one after a carriage return. A line that is no text, or too long, is its error. */
export async function* splitLines(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<string | MillraceError> {
  let pieces: Uint8Array[] = [];
  let [bytes, isFirst] = [0, true];
  const take = (last: Uint8Array): string | MillraceError => {
    const length = bytes + last.length;
    const text = length > lineBytesMax ? tooLong(length) : textOf(pieces, last);
    pieces = [];
    bytes = 0;
    const isMarked = isFirst && typeof text === "string" && text.startsWith("\u{feff}");
    isFirst = false;
    return isMarked ? text.slice(1) : text;
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let at = chunk.indexOf(lineFeed); at >= 0; at = chunk.indexOf(lineFeed, from)) {
      yield take(chunk.subarray(from, at));
      from = at + 1;
    }
    const rest = chunk.subarray(from);
    bytes += rest.length;
    if (bytes > lineBytesMax) pieces = [];
    else if (rest.length > 0) pieces.push(rest);
  }
  if (bytes > 0) yield take(new Uint8Array());
}

function textOf(pieces: readonly Uint8Array[], last: Uint8Array): string | MillraceError {
  const whole = pieces.length === 0 ? Buffer.from(last.buffer, last.byteOffset, last.length) : null;
  const line = whole ?? Buffer.concat([...pieces, last]);
  if (!isUtf8(line)) return new MillraceError("bad_encoding", "not UTF-8");
  return line.toString("utf8", 0, line.at(-1) === carriageReturn ? line.length - 1 : line.length);
}

function tooLong(bytes: number): MillraceError {
  const message = `${bytes} bytes, at most ${lineBytesMax} are sent`;
  return new MillraceError("input_too_long", message);
}

async function countLines(chunks: AsyncIterable<Uint8Array>): Promise<number> {
  let lines = 0;
  let last = lineFeed;
  for await (const chunk of chunks) {
    for (let at = chunk.indexOf(lineFeed); at >= 0; at = chunk.indexOf(lineFeed, at + 1))
      lines += 1;
    last = chunk.at(-1) ?? last;
  }
  return last === lineFeed ? lines : lines + 1;
}

/** Waits for whoever types or writes there, or for Ctrl-C. */
export async function* readStdin(signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const onAbort = (): void => void process.stdin.destroy(new Error("interrupted"));
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    for await (const chunk of process.stdin) yield chunk as Buffer;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
