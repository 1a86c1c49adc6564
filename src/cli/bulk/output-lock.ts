/**
 * `OUT.lock` beside an output while a run writes to it: two at once would mix their rows. It says who has it, so that what a
 * killed run left is taken over, by one of those that want it.
 */
import { randomUUID } from "node:crypto";
import { readFile, realpath, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { MillraceError } from "millrace-client";
import { z } from "zod";
import { linkNew } from "../../platform/link.js";
import { platform } from "../../platform/platform.js";
import { isAlive } from "../../platform/processes.js";
import { unwritable } from "../../work/file-problem.js";
import { parsedAs } from "./parsed-as.js";

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** What tells a process from a later one of the same number; null where the system does not say. */
  readonly begun: string | null;
}

const holder: z.ZodType<Holder> = z.object({
  pid: z.int().positive(),
  host: z.string(),
  begun: z.string().nullable(),
});

/** How often a lock is looked at that others take and leave meanwhile. */
const attemptsMax = 10;
/** As long as a stale one may take to be removed. */
const guardMs = 20;

export class OutputLock implements AsyncDisposable {
  readonly #path: string;
  readonly #text: string;

  /** @throws MillraceError `output_in_use` where a run that lives has it, and nothing is touched then. */
  static async take(out: string): Promise<OutputLock> {
    const path = `${await realName(out)}.lock`;
    const self: Holder = { pid: process.pid, host: hostname(), begun: begunOf(process.pid) };
    const own = `${path}.${randomUUID()}`;
    const text = `${JSON.stringify(self)}\n`;
    try {
      await writeFile(own, text, { flag: "wx" });
      for (let attempt = 0; attempt < attemptsMax; attempt += 1) {
        if (await linkNew(own, path)) return new OutputLock(path, text);
        await removeStale(path, { out, own });
      }
      throw inUse(out, path, "others take it in turns");
    } catch (error) {
      throw error instanceof MillraceError ? error : unwritable(path, error);
    } finally {
      await rm(own, { force: true });
    }
  }

  private constructor(path: string, text: string) {
    this.#path = path;
    this.#text = text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Somebody who removed it by hand may have let another one in.
    const text = await readFile(this.#path, "utf8").catch(() => null);
    if (text === this.#text) await rm(this.#path, { force: true });
  }
}

/** The same for every name of an output: a link leads to the same file. */
async function realName(out: string): Promise<string> {
  return await realpath(out).catch(async () => join(await realpath(dirname(out)), basename(out)));
}

/** Only who holds the guard removes one: of several that found it stale the slower would remove the lock of the faster. */
async function removeStale(
  path: string,
  { out, own }: { readonly out: string; readonly own: string },
): Promise<void> {
  if (!(await isStale(path, out))) return;
  const guard = `${path}.guard`;
  if (!(await linkNew(own, guard))) {
    // Its holder was killed within the two lines below.
    if (await isStale(guard, out)) await rm(guard, { force: true });
    return await sleep(guardMs);
  }
  try {
    if (await isStale(path, out)) await rm(path, { force: true });
  } finally {
    await rm(guard, { force: true });
  }
}

/** @throws MillraceError `output_in_use` where somebody has it. */
async function isStale(path: string, out: string): Promise<boolean> {
  const text = await readFile(path, "utf8").catch(() => null);
  if (text === null) return false;
  const reason = heldBy(text);
  if (reason !== null) throw inUse(out, path, reason);
  return true;
}

/** Who has it; null: nobody any more. */
function heldBy(text: string): string | null {
  const read = parsedAs(holder, text);
  if (read === null) return "it is not known by whom";
  const { pid, host, begun } = read;
  // Its processes cannot be seen from here.
  if (host !== hostname()) return `process ${pid} on ${host}`;
  if (!isAlive(pid)) return null;
  const now = begunOf(pid);
  return begun !== null && now !== null && begun !== now ? null : `process ${pid}`;
}

function begunOf(pid: number): string | null {
  return platform.processAt(pid)?.begun ?? null;
}

function inUse(out: string, path: string, by: string): MillraceError {
  const message = `another run writes to ${out} (${by}); where none does, remove ${path}`;
  return new MillraceError("output_in_use", message);
}
