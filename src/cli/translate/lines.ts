/** What is to be translated: arguments, the lines of a file, or those of standard input. */
import { constants, isUtf8 } from "node:buffer";
import { readFile } from "node:fs/promises";
import { MillraceError } from "millrace-client";
import { type TranslateFlags, unusable } from "./flags.js";

/** @throws MillraceError `option_invalid` for a file that cannot be read, or bytes that are no text. */
export async function readLines(
  args: readonly string[],
  { datafile }: Pick<TranslateFlags, "datafile">,
  signal: AbortSignal,
): Promise<readonly string[]> {
  if (args.length > 0) {
    if (datafile === undefined) return args;
    throw new MillraceError("option_invalid", "give texts or --datafile, not both");
  }
  const bytes = await (datafile === undefined ? readStdin(signal) : readWhole(datafile, signal));
  return linesOf(bytes, datafile ?? "standard input");
}

/** @throws MillraceError `option_invalid` for more bytes than a text can have, or bytes that are no text. */
export function linesOf(bytes: Uint8Array, from: string): readonly string[] {
  const { MAX_STRING_LENGTH: bytesMax } = constants;
  if (bytes.length > bytesMax) {
    const message = `${from} has ${bytes.length} bytes, at most ${bytesMax} are read at once: split it`;
    throw new MillraceError("option_invalid", message);
  }
  if (!isUtf8(bytes)) throw new MillraceError("option_invalid", `${from} is not UTF-8`);
  const lines = new TextDecoder().decode(bytes).split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  return lines;
}

async function readWhole(path: string, signal: AbortSignal): Promise<Uint8Array> {
  try {
    return await readFile(path, { signal });
  } catch (error) {
    signal.throwIfAborted();
    throw unusable("--datafile", path, error);
  }
}

/** Waits for whoever types or writes there, or for Ctrl-C. */
async function readStdin(signal: AbortSignal): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  const onAbort = (): void => void process.stdin.destroy(new Error("interrupted"));
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    for await (const chunk of process.stdin) chunks.push(chunk as Buffer);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
  return Buffer.concat(chunks);
}
