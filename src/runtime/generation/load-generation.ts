/** From a model folder to a generation engine that has answered warm-up items, and answered them sanely. */
import { join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import type { FrameOutcome } from "../../frames/messages.js";
import type { GenerationManifest } from "../../models/manifest-generation.js";
import { generationPayload, readHypotheses } from "../../work/generation.js";
import { messageOf } from "../../work/thrown.js";
import type { EngineEvents, EngineRequest } from "../engine.js";
import { sharedHashed } from "../shared-weights.js";
import {
  GenerationEngine,
  type GenerationRuns,
  generationEngineDefaults,
} from "./generation-engine.js";
import { GenerationModel, type LoadOptions } from "./generation-model.js";
import { checkShortlistIds } from "./shortlist-ids.js";

/** Throws `model_folder_invalid` where the folder cannot be run, or what it says is nonsense. */
export async function loadGeneration(
  request: EngineRequest<GenerationManifest>,
  events: EngineEvents,
): Promise<GenerationEngine> {
  const model = await openModel(request);
  try {
    if (request.isProven !== true) await warmUp(model, request.modelDir);
  } catch (error) {
    // The process lives on and hosts others.
    await model.release();
    throw error;
  }
  return new GenerationEngine(model, events, {
    ...generationEngineDefaults,
    rowsMax: request.rowsMax,
  });
}

async function openModel(request: EngineRequest<GenerationManifest>): Promise<GenerationModel> {
  const { manifest, modelDir, threads, runWatch } = request;
  try {
    const { encoder, decoder, weights } = manifest.files;
    const paths = { encoder: join(modelDir, encoder), decoder: join(modelDir, decoder) };
    await checkShortlistIds(modelDir, manifest);
    const shared = await sharedWeightsOf(request);
    // Spinning threads would take the cores from the server and from other pipelines.
    const options = { threads, spin: false, data: [weights], shared };
    const watchers = runWatch && {
      encoder: runWatch.graph(`${manifest.name} encoder`),
      decoder: runWatch.graph(`${manifest.name} decoder`),
    };
    return await GenerationModel.load(paths, manifest, {
      ...options,
      ...(watchers && { watchers }),
    });
  } catch (cause) {
    const message = messageOf(cause);
    throw new MillraceError("model_folder_invalid", `${modelDir}: ${message}`, { cause });
  }
}

/** Both graphs refer to the one file of weights; each takes from it what is its own. */
async function sharedWeightsOf({
  manifest: { files, fileSha256 },
  modelDir,
  weightsCache,
}: EngineRequest<GenerationManifest>): Promise<NonNullable<LoadOptions["shared"]> | null> {
  const of = { dir: modelDir, weights: files.weights, fileSha256 };
  const encoder = await sharedHashed(weightsCache, { ...of, graph: files.encoder });
  const decoder = await sharedHashed(weightsCache, { ...of, graph: files.decoder });
  return encoder === null || decoder === null ? null : { encoder, decoder };
}

/** One item through an engine of its own, greedy and with beams: every kernel has run once before anybody waits. */
export async function warmUp(model: GenerationRuns, modelDir: string): Promise<void> {
  const { endTokenId, maxLength, lengthPenalty } = model.manifest.generation;
  const outcomes: FrameOutcome[] = [];
  const engine = new GenerationEngine(model, {
    onRun: () => {},
    onOutcomes: (some) => outcomes.push(...some),
  });
  const wanted = [1, 4];
  for (const beams of wanted) {
    const settings = { beams, nBest: 1, lengthPenalty, maxLength: Math.min(8, maxLength) };
    const payload = generationPayload({ tokenIds: [endTokenId], settings });
    engine.admit("realtime", [{ itemId: beams, payload }]);
  }
  while (!engine.idle) await engine.step();
  const problems = outcomes.map((outcome) => problemOf(outcome, model.manifest));
  if (outcomes.length !== wanted.length) problems.push("not every item had an outcome");
  const problem = problems.find((each) => each !== null);
  if (problem === undefined) return;
  const message = `${modelDir}: the warm-up failed: ${problem}`;
  throw new MillraceError("model_folder_invalid", message);
}

/** What is wrong with the outcome, or null: its scores are finite, and its tokens the model's own. */
function problemOf(
  outcome: FrameOutcome,
  { shape, generation }: GenerationRuns["manifest"],
): string | null {
  if (!outcome.ok) return outcome.message;
  const hypotheses = readHypotheses(outcome.value);
  if (hypotheses === null) return "the result is not one of a generation";
  for (const { tokenIds } of hypotheses) {
    const unknown = tokenIds.find((id) => id < 0 || id >= shape.targetVocabulary);
    if (unknown !== undefined) {
      return `token ${unknown} came out, which is not one of the model's ${shape.targetVocabulary}`;
    }
    if (tokenIds.length >= generation.maxLength) {
      return `${tokenIds.length} tokens came out, of at most ${generation.maxLength}`;
    }
  }
  return null;
}
