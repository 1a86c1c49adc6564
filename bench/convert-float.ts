/** The float32 model of a Hugging Face or Marian folder, whichever is measured in int8. */
import { join } from "node:path";
import { convert } from "#src/convert/convert.js";

/** Writes it into `parent`; returns its folder. */
export async function convertFloat(source: string, parent: string): Promise<string> {
  const outDir = join(parent, "f32");
  await convert({
    modelDir: source,
    outDir,
    precision: "f32",
    // Not read: nothing is calibrated in float32.
    calibrationFile: "",
    force: false,
    onProgress: () => {},
    signal: AbortSignal.timeout(600_000),
  });
  return outDir;
}
