/** The seeds' data files: 100 sentences, again and again, so that nothing may be cached or deduplicated. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ownFile, readLines, seedsDir, takeLines } from "./lines.js";

export interface DataFile {
  readonly name: string;
  readonly lines: readonly string[];
  /** Where it was not there itself, what was taken instead. */
  readonly instead: string | null;
}

const fileLines: Readonly<Record<string, number>> = {
  data_100: 100,
  data_500: 500,
  data_1k: 1_000,
  data_2k: 2_000,
  data_4k: 4_000,
};

export const dataFileNames: readonly string[] = Object.keys(fileLines);

/**
 * A missing one is made as the seeds made theirs, of the lines of data_100, or of those that come with the project. `scale`: only
 * that part of its lines. @throws where `dir` was named and has neither
 */
export function readDataFile(name: string, dir: string | undefined, scale: number): DataFile {
  const all = fileLines[name];
  if (all === undefined)
    throw new Error(`there is no ${name}; there are ${dataFileNames.join(", ")}`);
  const count = Math.max(1, Math.round(scale * all));
  const own = join(dir ?? seedsDir, `${name}.txt`);
  if (existsSync(own)) return { name, lines: takeLines(readLines(own), 0, count), instead: null };
  const hundred = join(dir ?? seedsDir, "data_100.txt");
  if (!existsSync(hundred) && dir !== undefined) throw new Error(`${dir} has no data_100.txt`);
  const from = readLines(existsSync(hundred) ? hundred : ownFile);
  const instead = existsSync(hundred) ? "data_100" : "models/calibration.en.txt";
  return { name, lines: takeLines(from, 0, count), instead };
}
