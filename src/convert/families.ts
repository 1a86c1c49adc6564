/** The table of families: who converts which `model_type`. A new one is a folder and a line here. */
import { join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { z } from "zod";
import { readJsonFile } from "../models/read-json.js";
import { encoderFamily } from "./encoder/family.js";
import { readBaseDir } from "./encoder/modules.js";
import type { Family, OpenedModel, OpenSourceOptions } from "./family.js";
import { marianFamily } from "./marian/family.js";

const families: readonly Family[] = [marianFamily, encoderFamily];

export const knownModelTypes: readonly string[] = families.flatMap(({ modelTypes }) => modelTypes);

/** Far over any config.json. */
const configBytesMax = 4 * 1024 * 1024;

/** All that convert checks before it writes the first byte. Throws as the family's `open` does. */
export async function openModel(
  modelDir: string,
  options: OpenSourceOptions = { embeddings: false, shortlist: null },
): Promise<OpenedModel> {
  const baseDir = await readBaseDir(modelDir);
  const value = await readJsonFile(join(baseDir, "config.json"), configBytesMax);
  const found = z.looseObject({ model_type: z.string() }).safeParse(value);
  const type = found.success ? found.data.model_type : undefined;
  const family = families.find(({ modelTypes }) => modelTypes.some((known) => known === type));
  if (family !== undefined) return await family.open(modelDir, options);
  const what = type === undefined ? "no model_type" : `model_type ${JSON.stringify(type)}`;
  const message = `this model has ${what}; convert knows ${knownModelTypes.join(", ")}`;
  throw new MillraceError("model_unsupported", message);
}
