/** What the manifest of an image classifier leaves to its graph. */
import { stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { fileName } from "../manifest-fields.js";
import { readGraph } from "../onnx/read-graph.js";
import { checkDataFile } from "./complete-tensors.js";

const declared = z.looseObject({
  program: z.literal("image-classifier"),
  files: z.looseObject({ graph: fileName }),
});

/** With the files of weights that its graph names: they are of the model as the graph is. What is of other programs stays. */
export async function withDataFiles(dir: string, value: unknown): Promise<unknown> {
  const found = declared.safeParse(value);
  if (!found.success) return value;
  const { files } = found.data;
  const path = join(dir, files.graph);
  // That it is missing, or is no file, is said by whoever needs it.
  const isFile = await stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
  if (!isFile) return value;
  const { dataFiles: data } = await readGraph(path);
  for (const file of data) await checkDataFile(dir, file, path);
  return { ...found.data, files: { ...files, data } };
}
