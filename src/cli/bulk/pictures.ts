/** The picture files of a folder, in an order that stays: each folder's entries by name, a folder where its name stands. */
import { readdir, readFile, stat } from "node:fs/promises";
import { extname, join } from "node:path";
import { MillraceError } from "millrace-client";
import { readProblem } from "../../work/file-problem.js";
import type { BulkEntry } from "./entry.js";
import { unusable } from "./flags.js";

const extensions = new Set([".jpg", ".jpeg", ".png", ".webp", ".gif", ".tif", ".tiff"]);

/** By its name. */
export function isPictureName(name: string): boolean {
  return extensions.has(extname(name).toLowerCase());
}

/** A larger file is an error without being read. */
const fileBytesMax = 256 * 1024 * 1024;

/**
 * Walks again and again over the same folder; in memory are the names in the folders on the way to the present file, and
 * never all.
 */
export class PictureFolder {
  readonly #root: string;
  /** Files met on the last walk that are no pictures by their names, and what is neither a file nor a folder. */
  #others = 0;

  private constructor(root: string) {
    this.#root = root;
  }

  /** @throws MillraceError `option_invalid` where it is no folder that can be read. */
  static async open(root: string): Promise<PictureFolder> {
    try {
      await readdir(root);
    } catch (error) {
      throw unusable("FOLDER", root, error);
    }
    return new PictureFolder(root);
  }

  get others(): number {
    return this.#others;
  }

  /** Relative, with `/` on every system. */
  async *names(signal: AbortSignal): AsyncGenerator<string> {
    this.#others = 0;
    yield* this.#walk("", signal);
  }

  /** The bytes of each, read when it is asked for. */
  async *read(names: AsyncIterable<string>, from: number): AsyncGenerator<BulkEntry<Uint8Array>> {
    let index = from;
    for await (const file of names) {
      yield { place: { kind: "file", index, file }, input: await bytesOf(join(this.#root, file)) };
      index += 1;
    }
  }

  async *#walk(folder: string, signal: AbortSignal): AsyncGenerator<string> {
    signal.throwIfAborted();
    const entries = await readdir(join(this.#root, folder), { withFileTypes: true }).catch(
      (error: unknown) => {
        throw unusable("FOLDER", join(this.#root, folder), error);
      },
    );
    entries.sort((left, right) => (left.name < right.name ? -1 : 1));
    for (const entry of entries) {
      const name = folder === "" ? entry.name : `${folder}/${entry.name}`;
      // A link to a folder is not followed: it may lead in a circle.
      if (entry.isDirectory()) yield* this.#walk(name, signal);
      else if (await this.#isPicture(entry, name)) yield name;
      else this.#others += 1;
    }
  }

  async #isPicture(
    entry: { readonly name: string; isFile(): boolean; isSymbolicLink(): boolean },
    name: string,
  ): Promise<boolean> {
    if (!isPictureName(entry.name)) return false;
    if (entry.isFile()) return true;
    if (!entry.isSymbolicLink()) return false;
    // A link that leads nowhere is taken, so that it is told as a file that cannot be read.
    const target = await stat(join(this.#root, name)).catch(() => null);
    return target === null || target.isFile();
  }
}

/** Named one by one; each is read when it is asked for. */
export async function* readPictures(
  paths: readonly string[],
): AsyncGenerator<BulkEntry<Uint8Array>> {
  for (const [index, file] of paths.entries())
    yield { place: { kind: "file", index, file }, input: await bytesOf(file) };
}

async function bytesOf(path: string): Promise<Uint8Array | MillraceError> {
  try {
    const { size } = await stat(path);
    if (size > fileBytesMax) {
      const message = `${size} bytes, at most ${fileBytesMax} are sent`;
      return new MillraceError("body_too_large", message);
    }
    return await readFile(path);
  } catch (cause) {
    return new MillraceError("image_invalid", readProblem(cause), { cause });
  }
}

/** Folders and names in the order in which `PictureFolder` walks. */
function compareNames(left: string, right: string): number {
  const [lefts, rights] = [left.split("/"), right.split("/")];
  for (const [depth, name] of lefts.entries()) {
    const other = rights[depth];
    if (other === undefined) return 1;
    if (name !== other) return name < other ? -1 : 1;
  }
  return lefts.length - rights.length;
}

/** What a former run's names and those of now do not have in common. */
export interface Differences {
  /** Is there now, and sorts before the place where the run goes on: it stays undone. */
  appeared: number;
  firstAppeared: string | null;
  vanished: number;
}

/**
 * Of the names those behind the last one that is done. The two lists are in one order and are read side by side, so
 * neither is ever in memory.
 */
export async function* namesAfter(
  names: AsyncIterable<string>,
  done: AsyncIterator<string>,
  differences: Differences,
): AsyncGenerator<string> {
  let next = await done.next();
  for await (const name of names) {
    while (next.done !== true && compareNames(next.value, name) < 0) {
      differences.vanished += 1;
      next = await done.next();
    }
    if (next.done === true) {
      yield name;
    } else if (next.value === name) {
      next = await done.next();
    } else {
      differences.appeared += 1;
      differences.firstAppeared ??= name;
    }
  }
  for (; next.done !== true; next = await done.next()) differences.vanished += 1;
}
