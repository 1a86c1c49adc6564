/**
 * Which engine runs a model: one line for each. An engine is a folder beside this file; what it is for, and what its
 * model's manifest says, is its own business.
 */
import { type EngineName, type ManifestOf, manifestOf } from "../models/engine-table.js";
import { checkVersion, type FolderVersion } from "../models/folder-version.js";
import type { ModelManifest } from "../models/manifest.js";
import { readModel } from "../models/read-manifest.js";
import type { Engine, EngineEvents, EngineRequest } from "./engine.js";
import { loadGeneration } from "./generation/load-generation.js";

/** Throws `model_folder_invalid` where the folder cannot be run, after it was tried with warm-up items. */
type LoadEngine<Manifest extends ModelManifest> = (
  request: EngineRequest<Manifest>,
  events: EngineEvents,
) => Promise<Engine>;

/** The other engine comes with its first model: with it comes what decodes pictures. */
const engines: Readonly<Record<EngineName, LoadEngine<ModelManifest>>> = {
  generation: loader("generation", async () => loadGeneration),
  staged: loader("staged", async () => {
    const { loadStaged } = await import("./staged/load-staged.js");
    return loadStaged;
  }),
};

export async function loadEngine(
  { version = "", seen = "", ...request }: Omit<EngineRequest, "manifest"> & Partial<FolderVersion>,
  events: EngineEvents,
): Promise<Engine> {
  const { dir, manifest } = await readModel(request.modelDir);
  const check = async (): Promise<void> => {
    if (version !== "") await checkVersion(dir, manifest, { version, seen });
  };
  await check();
  const engine = await engines[manifest.engine]({ ...request, modelDir: dir, manifest }, events);
  try {
    // Somebody may have replaced a file while others of the folder were read.
    await check();
  } catch (error) {
    await engine.release();
    throw error;
  }
  return engine;
}

/** It gets the manifests of its own engine. */
function loader<Name extends EngineName>(
  name: Name,
  find: () => Promise<LoadEngine<ManifestOf<Name>>>,
): LoadEngine<ModelManifest> {
  return async (request, events) => {
    const load = await find();
    return await load({ ...request, manifest: manifestOf(request.manifest, name) }, events);
  };
}
