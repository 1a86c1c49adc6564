/** Runs a watched Marian model over sentences, encoder and decoder, as the server would. */
import { join } from "node:path";
import type { GenerationManifest } from "../../models/manifest-generation.js";
import type { HuggingFaceTokenizer } from "../../prepare/text/huggingface-tokenizers.js";
import { GenerationEngine } from "../../runtime/generation/generation-engine.js";
import { GenerationModel } from "../../runtime/generation/generation-model.js";
import { generationPayload } from "../../work/generation.js";
import type { CalibrationRuns, WatchedFolder } from "../family.js";

type Watched = Pick<GenerationManifest, "files" | "shape" | "generation">;

export function marianCalibration(
  model: Watched,
  tokenizer: Pick<HuggingFaceTokenizer, "encode">,
  lines: readonly string[],
): CalibrationRuns {
  const sentences = lines
    .map((line) => tokenizer.encode(line).ids)
    .filter((ids) => ids.length <= model.shape.positions);
  return {
    count: sentences.length,
    run: (folder) => runSentences(model, sentences, folder),
  };
}

async function runSentences(
  { files, shape, generation }: Watched,
  sentences: readonly (readonly number[])[],
  { dir, onWatched, onProgress }: WatchedFolder,
): Promise<string | null> {
  const load = { threads: 1, spin: false, prepack: false, onWatched };
  const model = await GenerationModel.load(
    { encoder: join(dir, files.encoder), decoder: join(dir, files.decoder) },
    { shape, generation, quantization: null },
    load,
  );
  for (const [index, sentence] of sentences.entries()) {
    await model.encode([sentence], sentence.length);
    onProgress((0.25 * index) / sentences.length);
  }
  // From here on the encoder's inputs are padded, and seen enough.
  model.watchDecoderOnly();
  const failures: string[] = [];
  const engine = new GenerationEngine(model, {
    onRun: () => {},
    onOutcomes: (outcomes) => {
      for (const outcome of outcomes) if (!outcome.ok) failures.push(outcome.message);
    },
  });
  const { maxLength, lengthPenalty } = generation;
  const settings = { beams: 1, nBest: 1, lengthPenalty, maxLength };
  for (const [itemId, tokenIds] of sentences.entries()) {
    engine.admit("bulk", [{ itemId, payload: generationPayload({ tokenIds, settings }) }]);
    while (!engine.idle) await engine.step();
    if (failures.length > 0) break;
    onProgress(0.25 + (0.75 * (itemId + 1)) / sentences.length);
  }
  await model.release();
  return failures[0] ?? null;
}
