/**
 * Which engine runs a model: one line for each. An engine is a folder beside this file; what it is for, and what its
 * model's manifest says, is its own business.
 */
import type { ModelManifest } from "../models/manifest.js";
import { readManifest } from "../models/read-manifest.js";
import type { Engine, EngineEvents, EngineRequest } from "./engine.js";
import { loadGeneration } from "./generation/load-generation.js";

/** Throws `model_folder_invalid` where the folder cannot be run, after it was tried with warm-up items. */
type LoadEngine = (request: EngineRequest, events: EngineEvents) => Promise<Engine>;

const engines: Readonly<Record<ModelManifest["engine"], LoadEngine>> = {
  generation: loadGeneration,
};

export async function loadEngine(
  request: Omit<EngineRequest, "manifest">,
  events: EngineEvents,
): Promise<Engine> {
  const manifest = await readManifest(request.modelDir);
  return await engines[manifest.engine]({ ...request, manifest }, events);
}
