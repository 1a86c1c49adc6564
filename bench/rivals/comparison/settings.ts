/** What the comparisons have in common on their command lines. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import type { parseArgs } from "node:util";
import { convertFloat } from "../../convert-float.js";
import { countOf, usual } from "../../harness/flags.js";

export const commonUsage = `  --model DIR              int8 Millrace folder (default: models/en-zh)
  --source DIR             Hugging Face folder, converted for float32 (default: ../shared/models/en-zh)
  --model-f32 DIR          float32 Millrace folder, instead of one converted from --source
  --sets LIST              short, long: which sentences (default: both)
  --short FILE             one a line (default: the held-out sentences of --source, else models/calibration.en.txt)
  --long FILE              one a line (default: ../shared/data/sentences/data_4k.txt)
  --count N                sentences a turn (default: 448; one at a time: a quarter of them)
  --rounds N               (default: 5)
  --rows N                 rows of an engine (default: 64, the server's own)
  --warm N                 sentences before the first round over HTTP, at most: JavaScript is compiled as it runs (default: 5376)
  --batch N                sentences of a batch of the rival's (default: 64)
  --json FILE              the figures as JSON`;

export const comparisonFlags = {
  model: usual.model,
  source: usual.source,
  "model-f32": { type: "string" },
  sets: { type: "string", default: "short,long" },
  short: { type: "string" },
  long: { type: "string", default: "../shared/data/sentences/data_4k.txt" },
  count: usual.count,
  rounds: usual.rounds,
  rows: usual.rows,
  warm: { type: "string", default: "5376" },
  batch: { type: "string", default: "64" },
  json: usual.json,
  help: usual.help,
} as const;

/** The values of `comparisonFlags`, and of those that have their defaults from the comparison. */
export type ComparisonFlags = ReturnType<
  typeof parseArgs<{ options: typeof comparisonFlags }>
>["values"] & { readonly cases: string };

/** Millrace's folder of a precision, or why there is none. */
export async function folderOf(
  precision: "int8" | "f32",
  values: ComparisonFlags,
  dir: string,
): Promise<{ readonly modelDir: string } | string> {
  if (precision === "int8") return { modelDir: resolve(values.model) };
  const float = values["model-f32"];
  if (float !== undefined) return { modelDir: resolve(float) };
  if (!existsSync(values.source)) return `there is no ${values.source}`;
  return { modelDir: await convertFloat(values.source, dir) };
}

export function precisionsOf(list: string): readonly ("int8" | "f32")[] {
  return list.split(",").map((name) => {
    if (name !== "int8" && name !== "f32") throw new Error(`no precision ${name}`);
    return name;
  });
}

/** Before anything is converted and started. @throws where one is no number */
export function checkCounts(values: ComparisonFlags): void {
  for (const flag of ["count", "rounds", "rows", "batch"] as const) countOf(flag, values[flag]);
  countOf("warm", values.warm, 0);
}

/** Throws where `list` names a case that is none of `known`. */
export function checkCases(list: string, known: readonly string[], usage: string): void {
  const unknown = list.split(",").filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Error(`no case ${unknown.join(", ")}\n${usage}`);
}

/** Lines of a usage: each case with what it is. */
export function casesUsage(
  cases: readonly { readonly name: string; readonly title: string }[],
): string {
  return cases.map(({ name, title }) => `  ${name.padEnd(16)} ${title}`).join("\n");
}
