/**
 * The table of engines, on the server's side: what a manifest must be for each, and how its pipelines are fed. A new engine
 * is a file of its own and a line here; what loads it in the child is the table in src/runtime/engines.ts.
 */
import type { z } from "zod";
import type { ModelManifest } from "./manifest.js";
import { checkGeneration, generationSchema } from "./manifest-generation.js";

export type ManifestOf<Engine extends ModelManifest["engine"]> = Extract<
  ModelManifest,
  { readonly engine: Engine }
>;

interface EngineEntry<Manifest> {
  readonly schema: z.ZodType<Manifest>;
  /** Throws `model_folder_invalid` where fields contradict each other. */
  readonly check: (manifest: Manifest) => void;
  /** As the scheduler has it: fed whenever rows are free, or a batch at a time. */
  readonly mode: "generation" | "one-shot";
}

export const engineTable: {
  readonly [Engine in ModelManifest["engine"]]: EngineEntry<ManifestOf<Engine>>;
} = {
  generation: { schema: generationSchema, check: checkGeneration, mode: "generation" },
};
