/**
 * A folder, with those above it. Node's `mkdir` with `recursive` tries for ever where a system says that something is missing
 * which is there: nothing can be made below Linux's /proc.
 */
import { mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { hasCode } from "../work/thrown.js";

/** The topmost one that was made; undefined: all were there. @throws as `mkdir` */
export async function makeFolders(
  dir: string,
  options: { readonly mode?: number } = {},
): Promise<string | undefined> {
  try {
    return (await isMade(dir, options)) ? dir : undefined;
  } catch (error) {
    if (!hasCode(error, "ENOENT") || dirname(dir) === dir) throw error;
  }
  const above = await makeFolders(dirname(dir), options);
  // Those above are there now: where it is missing still, it stays so.
  return (await isMade(dir, options)) ? (above ?? dir) : above;
}

/** False: it was there. @throws as `mkdir` */
async function isMade(dir: string, options: { readonly mode?: number }): Promise<boolean> {
  try {
    await mkdir(dir, options);
    return true;
  } catch (error) {
    if (await isFolder(dir)) return false;
    throw error;
  }
}

async function isFolder(path: string): Promise<boolean> {
  return await stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}
