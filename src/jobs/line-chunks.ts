/**
 * The bytes of a file as they stream in → chunks of whole lines, to the byte; and a chunk → its lines. What is in memory is one chunk
 * and one line that has not ended yet, however long the file is.
 *
 *   …"b"\n"c"\r\n\n"d│"\n"e"     pieces as they come
 *   [ "a"\n"b"\n ][ "c"\r\n\n"d"\n ]"e"      chunks; a line without an end is open until its end comes, or the file's
 *
 * A blank line is kept and is no line: it has no number, no result and no error, but the line numbers that errors tell count it.
 */
import { isUtf8 } from "node:buffer";
import { MillraceError } from "millrace-client/wire";
import { lineFeed } from "../work/line-feed.js";
import type { LongLines } from "./long-lines.js";
import { type Chunk, chunkLimits } from "./store.js";

type NewChunk = Omit<Chunk, "index">;

export interface LineChunksOptions {
  readonly lineBytesMax: number;
  readonly longLines: LongLines;
}

/** @throws MillraceError `body_too_large`, `bad_encoding`: both name the line, from 1; `queue_full` */
export async function* lineChunks(
  content: AsyncIterable<Uint8Array>,
  options: LineChunksOptions,
): AsyncGenerator<NewChunk> {
  using cutter = new LineCutter(options);
  for await (const piece of content) yield* cutter.push(piece);
  yield* cutter.end();
}

/** One buffer that grows: the chunk's whole lines, and behind them the line that has not ended. */
class LineCutter implements Disposable {
  readonly #lineBytesMax: number;
  readonly #longLines: LongLines;
  #buffer = Buffer.alloc(chunkLimits.bytesMax);
  /** Of the whole lines. */
  #wholeBytes = 0;
  /** With the open line. */
  #bytes = 0;
  #openIsBlank = true;
  /** Of the chunk that is being filled. */
  #lines = 0;
  #firstLine = 0;
  /** Counted with blank lines: before the chunk, and before the open line. */
  #before = 0;
  #ended = 0;

  constructor({ lineBytesMax, longLines }: LineChunksOptions) {
    this.#lineBytesMax = lineBytesMax;
    this.#longLines = longLines;
  }

  [Symbol.dispose](): void {
    this.#longLines.hold(0, { before: this.#beyondChunk });
  }

  /** What the buffer has more than every file has. */
  get #beyondChunk(): number {
    return this.#buffer.length - chunkLimits.bytesMax;
  }

  *push(piece: Uint8Array): Generator<NewChunk> {
    for (let from = 0; from < piece.length; ) {
      const at = piece.indexOf(lineFeed, from);
      const to = at === -1 ? piece.length : at + 1;
      this.#extend(piece.subarray(from, to));
      from = to;
      if (at !== -1) yield* this.#endLine();
    }
  }

  *end(): Generator<NewChunk> {
    if (this.#bytes > this.#wholeBytes) yield* this.#endLine();
    if (this.#wholeBytes > 0) yield this.#cut();
  }

  /** Keeps what is in it. */
  #resize(bytes: number): void {
    this.#longLines.hold(bytes - chunkLimits.bytesMax, { before: this.#beyondChunk });
    const resized = Buffer.alloc(bytes);
    this.#buffer.copy(resized, 0, 0, this.#bytes);
    this.#buffer = resized;
  }

  #extend(part: Uint8Array): void {
    const bytes = this.#bytes + part.length;
    if (bytes - this.#wholeBytes > this.#lineBytesMax) {
      const message = `Line ${this.#ended + 1} has more than ${this.#lineBytesMax} bytes.`;
      throw new MillraceError("body_too_large", message);
    }
    if (bytes > this.#buffer.length) this.#resize(Math.max(bytes, 2 * this.#buffer.length));
    this.#buffer.set(part, this.#bytes);
    this.#bytes = bytes;
    this.#openIsBlank &&= part.every(isBlank);
  }

  *#endLine(): Generator<NewChunk> {
    const { linesMax, bytesMax } = chunkLimits;
    const line = this.#openIsBlank ? 0 : 1;
    const isFull = this.#lines + line > linesMax || this.#bytes > bytesMax;
    if (this.#wholeBytes > 0 && isFull) {
      yield this.#cut();
      // Whoever took the long line is done with it.
      const { bytesMax: usual } = chunkLimits;
      if (this.#bytes <= usual && this.#beyondChunk > 0) this.#resize(usual);
    }
    this.#wholeBytes = this.#bytes;
    this.#lines += line;
    this.#ended += 1;
    this.#openIsBlank = true;
  }

  #cut(): NewChunk {
    const bytes = Buffer.from(this.#buffer.subarray(0, this.#wholeBytes));
    if (!isUtf8(bytes)) {
      const line = this.#before + badLine(bytes);
      throw new MillraceError("bad_encoding", `Line ${line} is not UTF-8.`);
    }
    const chunk = { firstLine: this.#firstLine, lines: this.#lines, bytes };
    this.#firstLine += this.#lines;
    this.#before = this.#ended;
    this.#lines = 0;
    this.#buffer.copyWithin(0, this.#wholeBytes, this.#bytes);
    this.#bytes -= this.#wholeBytes;
    this.#wholeBytes = 0;
    return chunk;
  }
}

/** From 1: the first line of the chunk that is no UTF-8. */
function badLine(bytes: Uint8Array): number {
  let line = 1;
  for (let from = 0; from < bytes.length; line += 1) {
    const at = bytes.indexOf(lineFeed, from);
    const to = at === -1 ? bytes.length : at + 1;
    if (!isUtf8(bytes.subarray(from, to))) return line;
    from = to;
  }
  return line;
}

function isBlank(byte: number): boolean {
  return byte === lineFeed || byte === 0x20 || byte === 0x09 || byte === 0x0d;
}

export interface TextLine {
  readonly text: string;
  /** In the chunk, from 0, counted with blank lines. */
  readonly place: number;
}

/** As many as the chunk says, without their ends, and without a byte order mark: a line of nothing else is one, and no input. */
export function linesInChunk({ bytes }: Pick<Chunk, "bytes">): TextLine[] {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("utf8");
  const lines: TextLine[] = [];
  for (const [place, line] of text.split("\n").entries()) {
    if (!/^[ \t\r]*$/.test(line)) lines.push({ text: line.trim(), place });
  }
  return lines;
}
