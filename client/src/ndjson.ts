import { MillraceError } from "./wire/index.js";

/** Longest line that is taken, in characters: far above any result, far below what hurts. */
const lineCharactersMax = 64 * 1024 * 1024;

/**
 * Newline-delimited JSON, fed with bytes that may be cut anywhere, also inside a character. A line counts only
 * with its line feed: what is left when the stream ends was cut off.
 */
export class NdjsonParser {
  readonly #decoder = new TextDecoder("utf-8", { fatal: true });
  /** The line that has begun, in the pieces in which it came: joined once, so long lines cost linear time. */
  #pieces: string[] = [];
  #pieceCharacters = 0;

  /** The values of the lines that end in `bytes`. Throws `response_invalid` on what is not UTF-8 or not JSON. */
  push(bytes: Uint8Array): unknown[] {
    const lines = this.#decode(bytes).split("\n");
    const rest = lines.pop() ?? "";
    const values: unknown[] = [];
    for (const line of lines) {
      const whole = [...this.#pieces, line].join("");
      this.#pieces = [];
      this.#pieceCharacters = 0;
      if (whole.trim() !== "") values.push(parseLine(whole));
    }
    if (rest !== "") this.#pieces.push(rest);
    this.#pieceCharacters += rest.length;
    if (this.#pieceCharacters > lineCharactersMax) {
      throw new MillraceError("response_invalid", "A line of the reply has no end.");
    }
    return values;
  }

  #decode(bytes: Uint8Array): string {
    try {
      return this.#decoder.decode(bytes, { stream: true });
    } catch (cause) {
      throw new MillraceError("response_invalid", "The reply is not UTF-8.", { cause });
    }
  }
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line) as unknown;
  } catch (cause) {
    const start = line.slice(0, 200);
    throw new MillraceError("response_invalid", `A line of the reply is not JSON: ${start}`, {
      cause,
    });
  }
}
