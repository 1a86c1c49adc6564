/**
 * A file or a folder gets another name in one step; a file that has the name is replaced. Where a system holds what is open
 * (Windows), a scanner or an indexer that looks at it for a moment is waited for.
 */
import { rename, stat } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { hasCode } from "../work/thrown.js";
import { platform } from "./platform.js";

export interface MoveCalls {
  readonly rename: (from: string, to: string) => Promise<void>;
  readonly holdsOpenFiles: boolean;
}

const heldCodes = ["EPERM", "EACCES", "EBUSY"];
const pauseMs = 20;
const attemptsMax = 50;

/** @throws as `rename`; where a folder is in the way `isFolderTaken` says so of the error. */
export async function move(
  from: string,
  to: string,
  calls: MoveCalls = { rename, holdsOpenFiles: platform.holdsOpenFiles },
): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await calls.rename(from, to);
      return;
    } catch (error) {
      if (!calls.holdsOpenFiles || !heldCodes.some((code) => hasCode(error, code))) throw error;
      // Windows says of a folder that is in the way what it says of a file that is held; waiting would not help.
      if (await isFolder(to)) throw folderInTheWay(to, error);
      if (attempt === attemptsMax) throw error;
      await sleep(pauseMs);
    }
  }
}

/** Of what `move` throws: there is a folder of that name. */
export function isFolderTaken(error: unknown): boolean {
  return hasCode(error, "ENOTEMPTY") || hasCode(error, "EEXIST");
}

async function isFolder(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

function folderInTheWay(path: string, cause: unknown): Error {
  const error = new Error(`${path} is a folder that is there already`, { cause });
  return Object.assign(error, { code: "EEXIST", syscall: "rename" });
}
