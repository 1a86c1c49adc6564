import { manifestOf } from "#src/models/engine-table.js";
import type { GenerationManifest } from "#src/models/manifest-generation.js";
import { readManifest } from "#src/models/read-manifest.js";

/** Of a folder whose model generates. */
export async function readGeneration(dir: string): Promise<GenerationManifest> {
  return manifestOf(await readManifest(dir), "generation");
}
