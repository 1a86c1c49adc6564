/** What is translated: sentences, one a line. */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../../", import.meta.url));

/** The seeds' files, where they lie beside the checkout. */
export const seedsDir = resolve(root, "..", "shared", "data", "sentences");

/** Sentences that come with the project. */
export const ownFile = join(root, "models", "calibration.en.txt");

/** One of the seeds' files, `data_1k` or another; where it does not lie beside the checkout, the project's own. */
export function usualFile(name: string): string {
  const seeds = join(seedsDir, `${name}.txt`);
  return existsSync(seeds) ? seeds : ownFile;
}

/** Lines of `path` that are not empty. @throws where there is none */
export function readLines(path: string = usualFile("data_1k")): readonly string[] {
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
