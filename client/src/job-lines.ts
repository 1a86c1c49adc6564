/**
 * The inputs of a job → a body in lines. What is small goes whole, and can be sent again whatever it came from; what is large is read
 * as it is sent, and read anew where it is sent again:
 *
 *     inputs ─► lines ─► [piece][piece] … up to `wholeBytesMax` ─┬─ that was all ─► one body of bytes
 *                                                                └─ there is more ─► a stream: these pieces, then the rest as it is read
 */
import type { Content } from "./transport.js";
import { MillraceError } from "./wire/index.js";

/** An input as the task's route takes one; an object is the fields of a request of its own. */
export type JobInput = string | Readonly<Record<string, unknown>>;

/** Of any length. What gives itself as its iterator, as a generator does, can be read once. */
export type JobInputs = Iterable<JobInput> | AsyncIterable<JobInput>;

const wholeBytesMax = 8 * 1024 * 1024;
const pieceCharacters = 32 * 1024;

export class JobLines {
  readonly #head: string;
  readonly #inputs: JobInputs;
  #pieces: readonly Uint8Array<ArrayBuffer>[] = [];
  /** Behind the pieces; null: there is nothing. */
  #rest: AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> | null = null;
  #isSent = false;
  /** What the caller's source threw; null: nothing has. */
  failure: { readonly error: unknown } | null = null;

  /** `head`: the first line. Rejects with what the source throws. */
  static async read(head: string, inputs: JobInputs): Promise<JobLines> {
    const lines = new JobLines(head, inputs);
    await lines.#begin();
    return lines;
  }

  private constructor(head: string, inputs: JobInputs) {
    this.#head = head;
    this.#inputs = inputs;
  }

  /** Whether the same can be sent once more. */
  get canRepeat(): boolean {
    return this.#rest === null || !isReadOnce(this.#inputs);
  }

  /** For one attempt; `onPiece` hears that more is being sent. */
  async content(onPiece: () => void): Promise<Content> {
    const headers = { "content-type": "application/x-ndjson" };
    if (this.#rest === null) return { kind: "bytes", bytes: joined(this.#pieces), headers };
    if (this.#isSent) await this.#begin();
    this.#isSent = true;
    return { kind: "stream", chunks: this.#chunks(onPiece), headers };
  }

  async #begin(): Promise<void> {
    // Of a former attempt: a file that it reads is closed.
    await this.#rest?.return();
    const rest = piecesOf(this.#head, this.#inputs);
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    let bytes = 0;
    this.#rest = rest;
    while (bytes <= wholeBytesMax) {
      const next = await rest.next();
      if (next.done === true) {
        this.#rest = null;
        break;
      }
      pieces.push(next.value);
      bytes += next.value.length;
    }
    this.#pieces = pieces;
  }

  async *#chunks(onPiece: () => void): AsyncGenerator<Uint8Array, void, undefined> {
    try {
      for (const piece of this.#pieces) {
        onPiece();
        yield piece;
      }
      this.#pieces = [];
      for await (const piece of this.#rest ?? []) {
        onPiece();
        yield piece;
      }
    } catch (error) {
      // No connection's, though `fetch` will say so.
      this.failure = { error };
      throw error;
    }
  }
}

/** Throws `bad_request` for what is neither a text nor an object. */
async function* piecesOf(
  head: string,
  inputs: JobInputs,
): AsyncGenerator<Uint8Array<ArrayBuffer>, void, undefined> {
  const encoder = new TextEncoder();
  let lines = [head];
  let [characters, line] = [head.length, 0];
  for await (const input of inputs) {
    if (characters >= pieceCharacters) {
      yield encoder.encode(`${lines.join("\n")}\n`);
      lines = [];
      characters = 0;
    }
    const text = lineOf(input, line);
    lines.push(text);
    characters += text.length + 1;
    line += 1;
  }
  if (lines.length > 0) yield encoder.encode(`${lines.join("\n")}\n`);
}

function lineOf(input: unknown, line: number): string {
  const param = `inputs[${line}]`;
  if (typeof input !== "string" && (typeof input !== "object" || input === null)) {
    throw new MillraceError("bad_request", `\`${param}\` must be a text or an object.`, { param });
  }
  try {
    return JSON.stringify(input);
  } catch (cause) {
    throw new MillraceError("bad_request", `\`${param}\` is not JSON: ${String(cause)}`, {
      cause,
      param,
    });
  }
}

function isReadOnce(inputs: JobInputs): boolean {
  if (Symbol.asyncIterator in inputs) {
    return (inputs as unknown) === inputs[Symbol.asyncIterator]();
  }
  return (inputs as unknown) === inputs[Symbol.iterator]();
}

function joined(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((bytes, { length }) => bytes + length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}
