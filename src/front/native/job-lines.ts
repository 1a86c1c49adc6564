/** The lines that a job is made of: texts of a JSON body, or what stands behind the head of a body in lines. */
import { isUtf8 } from "node:buffer";
import { jobLimits, MillraceError } from "millrace-client/wire";
import { badField, kindOf, loneSurrogate } from "../../work/fields.js";
import { lineFeed } from "../../work/line-feed.js";

/** Written together: a piece of this is small against what a store writes at once. */
const pieceTexts = 64;

/** @throws MillraceError `bad_request`, `bad_encoding`, `input_empty` (`param` says which text) */
export function readJobTexts(value: unknown): readonly string[] {
  if (!Array.isArray(value))
    throw badField("texts", `must be a list of texts, not ${kindOf(value)}`);
  if (value.length === 0) throw emptyInput("`texts` is empty.");
  for (const [index, text] of (value as readonly unknown[]).entries()) {
    const param = `texts[${index}]`;
    if (typeof text !== "string") throw badField(param, `must be a text, not ${kindOf(text)}`);
    if (!text.isWellFormed()) throw loneSurrogate(param);
  }
  return value as readonly string[];
}

export async function* linesOfTexts(texts: readonly string[]): AsyncGenerator<Uint8Array> {
  for (let from = 0; from < texts.length; from += pieceTexts) {
    const lines = texts.slice(from, from + pieceTexts).map((text) => `${JSON.stringify(text)}\n`);
    yield Buffer.from(lines.join(""));
  }
}

export interface HeadAndLines {
  readonly head: string;
  /** Throws `input_empty` at its end where nothing was in it. */
  readonly lines: AsyncIterable<Uint8Array>;
}

/** Reads no further than the first line. @throws MillraceError `bad_request`, `bad_encoding` */
export async function headAndLines(content: AsyncIterable<Uint8Array>): Promise<HeadAndLines> {
  const chunks = content[Symbol.asyncIterator]();
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for (;;) {
    const next = await chunks.next();
    const chunk = next.done === true ? new Uint8Array() : next.value;
    const feed = chunk.indexOf(lineFeed);
    const piece = feed === -1 ? chunk : chunk.subarray(0, feed);
    bytes += piece.length;
    if (bytes > jobLimits.headBytesMax) {
      const message = `The first line, which names the task, has more than ${jobLimits.headBytesMax} bytes.`;
      throw new MillraceError("bad_request", message);
    }
    pieces.push(piece);
    if (feed === -1 && next.done !== true) continue;
    const whole = Buffer.concat(pieces);
    if (!isUtf8(whole)) throw new MillraceError("bad_encoding", "The first line is no UTF-8.");
    const rest = feed === -1 ? new Uint8Array() : chunk.subarray(feed + 1);
    return { head: whole.toString(), lines: behind(rest, chunks) };
  }
}

async function* behind(
  rest: Uint8Array,
  chunks: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  let isEmpty = true;
  try {
    for (let chunk = rest; ; ) {
      isEmpty &&= isBlank(chunk);
      if (chunk.length > 0) yield chunk;
      const next = await chunks.next();
      if (next.done === true) break;
      chunk = next.value;
    }
    // Thrown to who stores the lines, which leaves nothing of them.
    if (isEmpty) throw emptyInput("No line follows the first one: there is nothing to do.");
  } finally {
    await chunks.return?.();
  }
}

/** What JSON has for blanks. */
const blanks: Buffer = Buffer.from(" \t\r\n");

function isBlank(chunk: Uint8Array): boolean {
  return chunk.every((byte) => blanks.includes(byte));
}

function emptyInput(message: string): MillraceError {
  return new MillraceError("input_empty", message, { param: "texts" });
}
