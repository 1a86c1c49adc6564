/** From a model folder to a staged engine that has answered warm-up items. */
import { MillraceError } from "millrace-client/wire";
import type { StagedManifest } from "../../models/manifest-staged.js";
import type { Engine, EngineEvents, EngineRequest } from "../engine.js";

/** Throws `model_folder_invalid` where the folder cannot be run, or what it says is nonsense. */
export async function loadStaged(
  request: EngineRequest<StagedManifest>,
  _events: EngineEvents,
): Promise<Engine> {
  throw new MillraceError("model_folder_invalid", `${request.modelDir}: its engine is being built`);
}
