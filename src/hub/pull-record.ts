/** `.millrace-pull.json` in a folder that was pulled: where its files came from, and what each was then. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import { makeFolders } from "../platform/make-folders.js";
import { move } from "../platform/move.js";
import { unwritable } from "../work/file-problem.js";
import { hasCode, messageOf } from "../work/thrown.js";
import { type HubFile, ownPrefix } from "./repository.js";

export interface PullRecord {
  readonly endpoint: string;
  readonly repository: string;
  /** As it was asked for: a branch is another commit later. */
  readonly revision: string;
  readonly commit: string;
  /** While an update is under way, and behind one that broke off, a name has more than one: as it was, and as it will be. */
  readonly files: readonly HubFile[];
}

const recordName = `${ownPrefix}.json`;

const shape: z.ZodType<PullRecord> = z.object({
  endpoint: z.string(),
  repository: z.string(),
  revision: z.string(),
  commit: z.string(),
  files: z.array(
    z.object({
      name: z.string(),
      bytes: z.number(),
      hash: z.object({ kind: z.enum(["sha256", "git"]), hex: z.string() }),
    }),
  ),
});

/** Null: none of it was pulled, as far as can be known. @throws MillraceError `output_failed` where it cannot be looked at. */
export async function readPullRecord(dir: string): Promise<PullRecord | null> {
  const path = join(dir, recordName);
  try {
    const found = shape.safeParse(JSON.parse(await readFile(path, "utf8")));
    return found.success ? found.data : null;
  } catch (error) {
    if (hasCode(error, "ENOENT") || error instanceof SyntaxError) return null;
    throw new MillraceError("output_failed", `cannot read ${path}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}

/** Whole or not at all. @throws MillraceError `output_failed` */
export async function writePullRecord(dir: string, record: PullRecord): Promise<void> {
  const path = join(dir, recordName);
  try {
    await makeFolders(dir);
    await writeFile(`${path}.new`, `${JSON.stringify(record, null, 2)}\n`);
    await move(`${path}.new`, path);
  } catch (cause) {
    throw unwritable(path, cause);
  }
}
