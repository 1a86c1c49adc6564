/** What was read of an input, as a hash: a run that goes on can tell whether it is still the same. */
import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { lineFeed } from "../../work/line-feed.js";

export interface PrefixMark {
  readonly bytes: number;
  readonly sha256: string;
}

const lineEnd = Uint8Array.of(lineFeed);

/** A last line without its line feed is as one that has it, so that a file may grow by lines, and by nothing else. */
export class InputPrefix {
  readonly #hash: Hash = createHash("sha256");
  #bytes = 0;
  #lastByte = lineFeed;

  /** Hands the chunks on. `startByte` is where they begin; what was taken before counts once. */
  async *watch(chunks: AsyncIterable<Uint8Array>, startByte = 0): AsyncGenerator<Uint8Array> {
    let at = startByte;
    for await (const chunk of chunks) {
      const known = Math.min(Math.max(this.#bytes - at, 0), chunk.length);
      const fresh = chunk.subarray(known);
      if (fresh.length > 0) this.#take(fresh);
      at += chunk.length;
      yield chunk;
    }
  }

  /** The input has come to its end. */
  end(): void {
    if (this.#lastByte !== lineFeed) this.#take(lineEnd);
  }

  mark(): PrefixMark {
    return { bytes: this.#bytes, sha256: this.#hash.copy().digest("hex") };
  }

  #take(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#bytes += bytes.length;
    this.#lastByte = bytes.at(-1) ?? this.#lastByte;
  }
}

export interface KnownPrefix {
  /** Its mark is the wanted one where the file still begins as it did. */
  readonly prefix: InputPrefix;
  /** Where the line after so many begins; null: there are not so many. */
  readonly startByte: number | null;
}

/** Reads again what `mark` is of, and finds the line that comes after the first `lines` of it. */
export async function readPrefix(
  path: string,
  { bytes, lines }: { readonly bytes: number; readonly lines: number },
  signal: AbortSignal,
): Promise<KnownPrefix> {
  const prefix = new InputPrefix();
  let left = lines;
  let startByte = left === 0 ? 0 : null;
  let at = 0;
  if (bytes === 0) return { prefix, startByte };
  const stream = createReadStream(path, { end: bytes - 1, signal });
  for await (const chunk of prefix.watch(stream)) {
    let feed = chunk.indexOf(lineFeed);
    for (; feed >= 0 && left > 0; feed = chunk.indexOf(lineFeed, feed + 1)) {
      left -= 1;
      if (left === 0) startByte = at + feed + 1;
    }
    at += chunk.length;
  }
  // The last line of all had no line feed then, and may have one now or not.
  if (at === bytes - 1) {
    prefix.end();
    if (left === 1) startByte = at;
  }
  return { prefix, startByte };
}
