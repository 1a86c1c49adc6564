/** The programs that the staged engine runs, by the name in a manifest: one line for each. */
import type { ProgramManifest, ProgramName, StagedManifest } from "../../models/manifest-staged.js";
import type { EngineRequest } from "../engine.js";
import type { Program } from "./program.js";
import { openEncoder } from "./programs/encoder.js";
import { openTensors } from "./programs/tensors.js";

/** Throws whatever is wrong with the folder. */
type OpenProgram<Manifest extends StagedManifest> = (
  request: EngineRequest<Manifest>,
) => Promise<Program>;

type Programs = { readonly [Name in ProgramName]: OpenProgram<ProgramManifest<Name>> };

const programs: Programs = { encoder: openEncoder, tensors: openTensors };

export async function openProgram(request: EngineRequest<StagedManifest>): Promise<Program> {
  // Whoever has a manifest has its program; the table says that they belong together.
  const open = programs[request.manifest.program] as OpenProgram<StagedManifest>;
  return await open(request);
}
