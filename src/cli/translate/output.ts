/** Results → lines, and where these are written. */
import { access, constants, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import type { TranslateItem } from "millrace-client";
import { type TranslateFlags, unusable } from "./flags.js";

export function render(
  results: readonly (TranslateItem | null)[],
  { json }: Pick<TranslateFlags, "json">,
): string {
  return results
    .map((result, index) => {
      if (json === true) return JSON.stringify({ line: index + 1, ...(result ?? { text: "" }) });
      // One line in is one line out, or files would no longer match line by line.
      return result !== null && "text" in result ? result.text.replace(/\r?\n/g, " ") : "";
    })
    .map((line) => `${line}\n`)
    .join("");
}

/** Asked before the work, not after it. */
export async function assertWritable(path: string): Promise<void> {
  try {
    await access(dirname(path), constants.W_OK);
  } catch (error) {
    throw unusable("--out", path, error);
  }
  const there = await stat(path).catch(() => null);
  if (there?.isDirectory() === true) throw unusable("--out", path, "it is a folder");
}

/** Complete or not at all: readers never see half a file, and a failed run leaves an old one as it was. */
export async function writeWhole(path: string, text: string): Promise<void> {
  const partial = `${path}.${process.pid}.partial`;
  try {
    await writeFile(partial, text, { flag: "wx" });
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw unusable("--out", path, error);
  }
}
