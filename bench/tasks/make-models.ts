/** Models of the benchmarks, converted from folders with made weights. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { convert } from "#src/convert/convert.js";
import { manifestOf } from "#src/models/engine-table.js";
import type { MadeModel } from "./settings.js";
import { type EncoderShape, writeShape } from "./shapes.js";
import { madeTexts } from "./texts.js";

/** Of one shape: the same weights in float32 and in int8; what they were made of lies in `source` beside them. */
export async function makeModels(
  parent: string,
  shape: EncoderShape,
): Promise<readonly MadeModel[]> {
  const folder = join(parent, shape.name);
  await mkdir(folder);
  const modelDir = join(folder, "source");
  await writeShape(modelDir, shape);
  const calibrationFile = join(folder, "calibration.txt");
  await writeFile(
    calibrationFile,
    madeTexts(shape, 128, { least: 5, most: 60, seed: 2 }).join("\n"),
  );
  const models: MadeModel[] = [];
  for (const precision of ["f32", "int8"] as const) {
    const outDir = join(folder, precision, "model");
    await mkdir(join(folder, precision));
    const { manifest } = await convert({
      modelDir,
      outDir,
      precision,
      calibrationFile,
      force: false,
      onProgress: () => {},
      signal: new AbortController().signal,
    });
    const staged = manifestOf(manifest, "staged");
    if (staged.program !== "encoder") throw new Error("the made encoder became something else");
    models.push({ shape, precision, dir: outDir, manifest: staged });
  }
  return models;
}
