/** The table of engines: what a manifest must be for each. A new engine is a file of its own and a line here. */
import type { z } from "zod";
import type { ModelManifest } from "./manifest.js";
import { checkGeneration, generationSchema } from "./manifest-generation.js";

type ManifestOf<Engine extends ModelManifest["engine"]> = Extract<
  ModelManifest,
  { readonly engine: Engine }
>;

interface EngineEntry<Manifest> {
  readonly schema: z.ZodType<Manifest>;
  /** Throws `model_folder_invalid` where fields contradict each other. */
  readonly check: (manifest: Manifest) => void;
}

export const engines: {
  readonly [Engine in ModelManifest["engine"]]: EngineEntry<ManifestOf<Engine>>;
} = {
  generation: { schema: generationSchema, check: checkGeneration },
};
