/** A file gets another name, unless somebody has that name. */
import { link } from "node:fs/promises";
import { hasCode } from "../work/thrown.js";

/** Whole at once: who looks finds nothing there, or all of it. False: the name is taken. @throws as `link` in all other cases */
export async function linkNew(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    if (hasCode(error, "EEXIST")) return false;
    throw error;
  }
}
