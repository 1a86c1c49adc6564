/** What is translated: sentences, one a line. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../../", import.meta.url));

/** The seeds' files, where they lie beside the checkout. */
export const seedsDir = resolve(root, "..", "shared", "data", "sentences");

/** Lines of `file`; where none is named of the seeds' data_1k, else of the sentences that come with the project. */
export function readLines(file: string | undefined): readonly string[] {
  const seeds = join(seedsDir, "data_1k.txt");
  const own = join(root, "models", "calibration.en.txt");
  const path = file ?? (existsSync(seeds) ? seeds : own);
  const lines = readFileSync(path, "utf8")
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "");
  if (lines.length === 0) throw new Error(`${path} has no line`);
  return lines;
}

/** `count` of them from the `from`-th on; after the last one comes the first. */
export function takeLines(
  lines: readonly string[],
  from: number,
  count: number,
): readonly string[] {
  return Array.from({ length: count }, (_, at) => lines[(from + at) % lines.length] ?? "");
}
