/**
 * The table of engines, on the server's side: what a manifest must be for each, how its pipelines are fed, and what is told
 * of its models. A new engine is a file of its own and a line here; what loads it in the child is the table in
 * src/runtime/engines.ts. Whoever else asks a manifest for more than every model has belongs in one of these files.
 */
import { MillraceError, type ModelInfo } from "millrace-client/wire";
import type { z } from "zod";
import type { ModelManifest } from "./manifest.js";
import { generation } from "./manifest-generation.js";
import { checkShape } from "./read-json.js";

export type EngineName = ModelManifest["engine"];

export type ManifestOf<Engine extends EngineName> = Extract<
  ModelManifest,
  { readonly engine: Engine }
>;

/** What an engine says of itself, each in its own file. */
export interface EngineDefinition<Manifest> {
  readonly schema: z.ZodType<Manifest>;
  /** Throws `model_folder_invalid` where fields contradict each other. */
  readonly check: (manifest: Manifest) => void;
  /** As the scheduler has it: fed whenever rows are free, or a batch at a time. */
  readonly mode: "generation" | "one-shot";
  /** What a request gets that sets nothing by itself, by the names of the request's fields. */
  readonly settings: (manifest: Manifest) => Readonly<Record<string, number>>;
  readonly limits: (manifest: Manifest) => ModelInfo["limits"];
  /** What `millrace inspect` says beside what it says of every model. */
  readonly facts: (manifest: Manifest) => readonly (readonly [label: string, value: string])[];
}

type EngineEntry = Pick<
  EngineDefinition<ModelManifest>,
  "mode" | "settings" | "limits" | "facts"
> & {
  /** Of what was read from `path`; throws `model_folder_invalid`, which names the field. */
  readonly read: (path: string, value: unknown) => ModelManifest;
};

export const engineTable: Readonly<Record<EngineName, EngineEntry>> = {
  generation: entryOf("generation", generation),
};

/** Throws `model_folder_invalid` where another engine runs the model. */
export function manifestOf<Engine extends EngineName>(
  manifest: ModelManifest,
  engine: Engine,
): ManifestOf<Engine> {
  if (isOf(manifest, engine)) return manifest;
  const { name, engine: other } = manifest as ModelManifest;
  const message = `${name} is run by the engine ${other}, where ${engine} is needed`;
  throw new MillraceError("model_folder_invalid", message);
}

function isOf<Engine extends EngineName>(
  manifest: ModelManifest,
  engine: Engine,
): manifest is ManifestOf<Engine> {
  return manifest.engine === engine;
}

/** From here on nobody needs to know which engine it is to ask it. */
function entryOf<Engine extends EngineName>(
  engine: Engine,
  { schema, check, mode, settings, limits, facts }: EngineDefinition<ManifestOf<Engine>>,
): EngineEntry {
  return {
    mode,
    read: (path, value) => {
      const manifest = checkShape(path, value, schema);
      check(manifest);
      return manifest;
    },
    settings: (manifest) => settings(manifestOf(manifest, engine)),
    limits: (manifest) => limits(manifestOf(manifest, engine)),
    facts: (manifest) => facts(manifestOf(manifest, engine)),
  };
}
