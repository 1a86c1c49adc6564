/**
 * The folder that a conversion writes: whole or not at all, and an old one is there until the new one is.
 *
 *   .NAME.new-PID-RANDOM   while it is written
 *   NAME                   the folder
 *   .NAME.old-PID-RANDOM   the one before, between the two renames of an exchange and until it is deleted
 *
 * A crash leaves one of the hidden two; the next conversion to NAME puts it in order. A server does not see them.
 */
import { randomUUID } from "node:crypto";
import { mkdir, readdir, rm, rmdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { manifestFileName } from "../models/manifest-base.js";
import { isMissing } from "../models/read-json.js";
import { makeFolders } from "../platform/make-folders.js";
import { move } from "../platform/move.js";
import { isAlive } from "../platform/processes.js";
import { hasCode, messageOf } from "../work/thrown.js";

/** The calls that can fail half-way; a test makes them fail. */
export interface FolderCalls {
  readonly rename: (from: string, to: string) => Promise<void>;
  readonly remove: (dir: string) => Promise<void>;
}

const realCalls: FolderCalls = {
  rename: move,
  remove: (dir) => rm(dir, { recursive: true, force: true }),
};

export class OutputFolder implements AsyncDisposable {
  readonly #target: string;
  readonly #calls: FolderCalls;
  /** Where to write. */
  readonly dir: string;
  /** The topmost folder that had to be made to hold the target; undefined: none. */
  readonly #madeParent: string | undefined;
  #kept = false;

  private constructor(target: string, calls: FolderCalls, madeParent: string | undefined) {
    this.#target = target;
    this.#calls = calls;
    this.#madeParent = madeParent;
    this.dir = hiddenPath(target, "new");
  }

  static async begin(target: string, calls: FolderCalls = realCalls): Promise<OutputFolder> {
    const folder = new OutputFolder(target, calls, await makeFolders(dirname(target)));
    await mkdir(folder.dir);
    return folder;
  }

  /** Gives the folder its name. Where that fails both are still there, and the error says where the new one lies. */
  async publish(replace: boolean): Promise<void> {
    const aside = hiddenPath(this.#target, "old");
    this.#kept = true;
    try {
      if (replace) await this.#moveIfThere(this.#target, aside);
      await this.#calls.rename(this.dir, this.#target);
    } catch (cause) {
      const places = [`the new one is whole and lies in ${this.dir}`];
      if (replace) {
        const lies = () => places.push(`the old one lies in ${aside}`);
        await this.#moveIfThere(aside, this.#target).catch(lies);
      }
      const why = `${this.#target} could not be renamed: ${messageOf(cause)}`;
      throw new MillraceError("output_failed", [why, ...places].join("; "), { cause });
    }
    // The new one is in its place whether or not this succeeds; the next conversion would delete it too.
    if (replace) await this.#calls.remove(aside).catch(() => {});
  }

  /** Leaves nothing behind, unless it was published or is whole. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#kept) return;
    await this.#calls.remove(this.dir);
    if (this.#madeParent !== undefined) await removeEmpty(dirname(this.#target), this.#madeParent);
  }

  async #moveIfThere(from: string, to: string): Promise<void> {
    try {
      await this.#calls.rename(from, to);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
}

/**
 * What a conversion that died left beside the target: an old folder gets its name back if nothing else has it, all
 * else is deleted. The folders of a conversion that still runs are left alone.
 */
export async function tidyUp(target: string): Promise<void> {
  const parent = dirname(target);
  for (const name of (await namesIn(parent)).toSorted()) {
    const kind = kindOfDead(name, target);
    if (kind === null) continue;
    const path = join(parent, name);
    if (kind === "old" && !(await exists(target))) await move(path, target);
    else await rm(path, { recursive: true, force: true });
  }
}

/** Throws `output_exists` where the target may not be written. */
export async function checkTarget(target: string, force: boolean): Promise<void> {
  if (!(await exists(target))) return;
  if (!force) throw new MillraceError("output_exists", `${target} exists; --force replaces it`);
  // Only what convert wrote is replaced: a mistyped --out must not delete somebody's files.
  if (await exists(join(target, manifestFileName))) return;
  const message = `${target} is no Millrace model folder (no ${manifestFileName}); it is not replaced`;
  throw new MillraceError("output_exists", message);
}

/** An error of the file system, such as a full disk, as an error of ours; anything else as it is. */
export function outputError(target: string, error: unknown): unknown {
  if (!(error instanceof Error) || !("syscall" in error)) return error;
  const message = `${target} could not be written: ${messageOf(error)}`;
  return new MillraceError("output_failed", message, { cause: error });
}

function hiddenPath(target: string, kind: "new" | "old"): string {
  const name = `.${basename(target)}.${kind}-${process.pid}-${randomUUID().slice(0, 8)}`;
  return join(dirname(target), name);
}

/** Null where the name is none of the target's hidden ones, or where its process lives. */
function kindOfDead(name: string, target: string): "new" | "old" | null {
  const prefix = `.${basename(target)}.`;
  if (!name.startsWith(prefix)) return null;
  const [, kind, pid] = /^(new|old)-(\d+)-[0-9a-f]{8}$/.exec(name.slice(prefix.length)) ?? [];
  if (pid === undefined || isAlive(Number(pid))) return null;
  return kind === "old" ? "old" : "new";
}

async function namesIn(dir: string): Promise<string[]> {
  try {
    return await readdir(dir);
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    const isNoFolder = hasCode(error, "ENOTDIR");
    if (isMissing(error) || isNoFolder) return false;
    throw error;
  }
}

/** From `dir` up to `top`, as long as they are empty. */
async function removeEmpty(dir: string, top: string): Promise<void> {
  for (let at = dir; at.startsWith(top); at = dirname(at)) {
    try {
      await rmdir(at);
    } catch {
      // Somebody put something into it: then it is theirs.
      return;
    }
  }
}
