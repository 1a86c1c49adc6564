/**
 * The table of engines, on the server's side: what a manifest must be for each, how its pipelines are fed, and what is told
 * of its models. A new engine is a file of its own and a line here; what loads it in the child is the table in
 * src/runtime/engines.ts. Whoever else asks a manifest for more than every model has belongs in one of these files.
 */
import { MillraceError } from "millrace-client/wire";
import { type EngineDefinition, usualRowsMax } from "./engine-definition.js";
import type { ModelManifest } from "./manifest.js";
import { generation } from "./manifest-generation.js";
import {
  type ProgramManifest,
  type ProgramName,
  type StagedManifest,
  staged,
} from "./manifest-staged.js";
import { checkShape } from "./read-json.js";

export type EngineName = ModelManifest["engine"];

export type ManifestOf<Engine extends EngineName> = Extract<
  ModelManifest,
  { readonly engine: Engine }
>;

type EngineEntry = Pick<
  EngineDefinition<ModelManifest>,
  "mode" | "sharesWeights" | "settings" | "unit" | "info" | "facts" | "sampler"
> & {
  readonly rowsMax: (manifest: ModelManifest) => number;
  readonly runRowsMax: (manifest: ModelManifest) => number | null;
  /** Of what was read from `path`; throws `model_folder_invalid`, which names the field. */
  readonly read: (path: string, value: unknown) => ModelManifest;
};

export const engineTable: Readonly<Record<EngineName, EngineEntry>> = {
  generation: entryOf("generation", generation),
  staged: entryOf("staged", staged),
};

/** Rows of it that run at once in a pipeline: as the options have it for all models, or else as its engine does. */
export function rowsMaxOf(
  manifest: ModelManifest,
  { rowsMax }: { readonly rowsMax: number | null },
): number {
  return rowsMax ?? engineTable[manifest.engine].rowsMax(manifest);
}

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

/** The same for a model of the staged engine that is run by this program. */
export function programManifestOf<Program extends ProgramName>(
  manifest: ModelManifest,
  program: Program,
): ProgramManifest<Program> {
  const staged = manifestOf(manifest, "staged");
  if (isOfProgram(staged, program)) return staged;
  const { name, program: other } = staged as StagedManifest;
  const message = `${name} is run by the program ${other}, where ${program} is needed`;
  throw new MillraceError("model_folder_invalid", message);
}

function isOfProgram<Program extends ProgramName>(
  manifest: StagedManifest,
  program: Program,
): manifest is ProgramManifest<Program> {
  return manifest.program === program;
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
  definition: EngineDefinition<ManifestOf<Engine>>,
): EngineEntry {
  const { schemaFor, check, mode, rowsMax, runRowsMax, sharesWeights } = definition;
  const { settings, unit, info, facts, sampler } = definition;
  return {
    mode: (manifest) => mode(manifestOf(manifest, engine)),
    rowsMax: (manifest) => rowsMax?.(manifestOf(manifest, engine)) ?? usualRowsMax,
    runRowsMax: (manifest) => runRowsMax?.(manifestOf(manifest, engine)) ?? null,
    sharesWeights: (manifest) => sharesWeights(manifestOf(manifest, engine)),
    read: (path, value) => {
      const manifest = checkShape(path, value, schemaFor(value));
      check(manifest);
      return manifest;
    },
    settings: (manifest) => settings(manifestOf(manifest, engine)),
    unit: (manifest) => unit(manifestOf(manifest, engine)),
    info: (manifest) => info(manifestOf(manifest, engine)),
    facts: (manifest) => facts(manifestOf(manifest, engine)),
    ...(sampler === undefined
      ? {}
      : { sampler: (manifest) => sampler(manifestOf(manifest, engine)) }),
  };
}
