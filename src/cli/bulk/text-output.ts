/** Where text goes that is not gone on with: standard output as it comes, or a file that is whole or not there. */
import { once } from "node:events";
import { access, constants, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { move } from "../../platform/move.js";
import { printResult } from "../print.js";
import { BufferedFile } from "./buffered-file.js";
import { unusable } from "./flags.js";

export interface TextOutput extends AsyncDisposable {
  write(text: string): Promise<void>;
  /** All is written. Whoever disposes of it before leaves an old file as it was. */
  end(): Promise<void>;
}

/**
 * `input`: the file that is read, or null.
 * @throws MillraceError `option_invalid` where nothing can be written to `path`: before the work, not after it.
 */
export async function openTextOutput(
  path: string | undefined,
  { input, signal }: { readonly input: string | null; readonly signal: AbortSignal },
): Promise<TextOutput> {
  if (path === undefined) return new StandardOutput(signal);
  await assertWritable(path, input);
  const partial = `${path}.${process.pid}.partial`;
  return new WholeFile(path, partial, await BufferedFile.open(partial, { isNew: true }));
}

/** `input`: what is read meanwhile, and would be gone, before it is read or after it. */
export async function assertWritable(path: string, input: string | null = null): Promise<void> {
  try {
    await access(dirname(path), constants.W_OK);
  } catch (error) {
    throw unusable("--out", path, error);
  }
  const there = await stat(path).catch(() => null);
  if (there?.isDirectory() === true) throw unusable("--out", path, "it is a folder");
  const read = input === null || there === null ? null : await stat(input).catch(() => null);
  // By any name: a link leads to the same file.
  if (read?.isFile() === true && read.ino === there?.ino && read.dev === there.dev)
    throw unusable("--out", path, "it is the input");
}

class StandardOutput implements TextOutput {
  readonly #signal: AbortSignal;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  async write(text: string): Promise<void> {
    if (printResult(text)) return;
    // A reader that has left aborts the signal: see remote.ts.
    await once(process.stdout, "drain", { signal: this.#signal });
  }

  async end(): Promise<void> {
    await Promise.resolve();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.resolve();
  }
}

class WholeFile implements TextOutput {
  readonly #path: string;
  readonly #partial: string;
  readonly #file: BufferedFile;

  constructor(path: string, partial: string, file: BufferedFile) {
    this.#path = path;
    this.#partial = partial;
    this.#file = file;
  }

  async write(text: string): Promise<void> {
    this.#file.add(Buffer.from(text));
    if (this.#file.isDue) await this.#file.flush();
  }

  async end(): Promise<void> {
    await this.#file.flush();
    try {
      await move(this.#partial, this.#path);
    } catch (error) {
      throw unusable("--out", this.#path, error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file[Symbol.asyncDispose]();
    await rm(this.#partial, { force: true });
  }
}
