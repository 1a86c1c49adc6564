/** From a model folder to an engine that has answered a warm-up item. */
import { join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import type { ParentFrame } from "../frames/messages.js";
import type { ModelManifest } from "../models/manifest.js";
import { readManifest } from "../models/read-manifest.js";
import { generationPayload } from "../work/generation.js";
import type { Engine, EngineEvents } from "./engine.js";
import { GenerationEngine, generationEngineDefaults } from "./generation/generation-engine.js";
import { GenerationModel } from "./generation/generation-model.js";

type LoadFrame = Extract<ParentFrame, { type: "load" }>;

/** Throws `model_folder_invalid` where the folder cannot be run. */
export async function loadEngine(frame: LoadFrame, events: EngineEvents): Promise<Engine> {
  const manifest = await readManifest(frame.modelDir);
  const model = await openModel(frame, manifest);
  await warmUp(model);
  const options = { ...generationEngineDefaults, rowsMax: frame.rowsMax };
  return new GenerationEngine(model, events, options);
}

async function openModel(frame: LoadFrame, manifest: ModelManifest): Promise<GenerationModel> {
  try {
    // Spinning threads would take the cores from the server and from other pipelines.
    const { encoder, decoder } = manifest.files;
    const paths = {
      encoder: join(frame.modelDir, encoder),
      decoder: join(frame.modelDir, decoder),
    };
    return await GenerationModel.load(paths, manifest, { threads: frame.threads, spin: false });
  } catch (cause) {
    const message = cause instanceof Error ? cause.message : String(cause);
    throw new MillraceError("model_folder_invalid", `${frame.modelDir}: ${message}`, { cause });
  }
}

/** One item through an engine of its own, greedy and with beams: every kernel has run once before anybody waits. */
async function warmUp(model: GenerationModel): Promise<void> {
  const { endTokenId, maxLength, lengthPenalty } = model.manifest.generation;
  let answered = 0;
  const engine = new GenerationEngine(model, {
    onRun: () => {},
    onOutcomes: (outcomes) => {
      for (const outcome of outcomes) {
        if (!outcome.ok) throw new MillraceError("model_folder_invalid", outcome.message);
        answered += 1;
      }
    },
  });
  for (const beams of [1, 4]) {
    const settings = { beams, nBest: 1, lengthPenalty, maxLength: Math.min(8, maxLength) };
    const payload = generationPayload({ tokenIds: [endTokenId], settings });
    engine.add("realtime", [{ itemId: beams, payload }]);
  }
  while (await engine.step());
  if (answered !== 2) throw new Error("the warm-up items had no outcome");
}
