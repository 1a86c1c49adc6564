/**
 * The labels of an image classifier, in the order of its graph: from its manifest, or from a file of its folder as people have them:
 *
 *   labels.txt           a line for each
 *   labels.json          ["tench", "goldfish", …]
 *   index_to_name.json   {"0": ["n01440764", "tench"], "1": "goldfish", …}   torchserve's
 */
import { join } from "node:path";
import { z } from "zod";
import { wrongManifest } from "../manifest-fields.js";
import { checkShape, readJsonFile, readTextFile } from "../read-json.js";

const bytesMax = 16 * 1024 * 1024;
const labelsMax = 100_000;

const name = z.string().max(256);
const index = z.string().regex(/^(?:0|[1-9]\d{0,5})$/, "expected an index");
const schema = z.union([
  z.array(name).min(1).max(labelsMax),
  z
    .record(index, z.union([name, z.array(name).min(1).max(16)]))
    .refine((names) => Object.keys(names).length <= labelsMax, `more than ${labelsMax} labels`),
]);

/** @throws MillraceError `model_folder_invalid`, which names the file. */
export async function readLabels(
  dir: string,
  labels: readonly string[] | string,
): Promise<readonly string[]> {
  if (typeof labels !== "string") return labels;
  const path = join(dir, labels);
  if (!labels.endsWith(".json")) {
    const lines = (await readTextFile(path, bytesMax)).replace(/^\uFEFF/, "").split(/\r?\n/);
    if (lines.at(-1) === "") lines.pop();
    return checkShape(path, lines, z.array(name).min(1).max(labelsMax));
  }
  const read = checkShape(path, await readJsonFile(path, bytesMax), schema);
  return Array.isArray(read) ? read : byIndex(labels, read);
}

function byIndex(
  file: string,
  names: Readonly<Record<string, string | readonly string[]>>,
): readonly string[] {
  return Array.from({ length: Object.keys(names).length }, (_, at) => {
    const found = names[String(at)];
    if (found === undefined) throw wrongManifest(`${file} has no label ${at}`);
    // An id of the data set comes first where there are several, and what people say last.
    return typeof found === "string" ? found : (found.at(-1) ?? "");
  });
}
