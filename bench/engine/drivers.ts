/** The three ways to drive the same graphs that the engine benchmark compares; each returns ids in input order. */
import { Arena, cacheShapeOf, padWidth } from "#src/runtime/generation/arena.js";
import {
  GenerationEngine,
  generationEngineDefaults,
} from "#src/runtime/generation/generation-engine.js";
import type { GenerationModel } from "#src/runtime/generation/generation-model.js";
import { GreedySearch } from "#src/runtime/generation/search/greedy.js";
import { candidatesNeeded, type SearchRules } from "#src/runtime/generation/search/search.js";
import { generationPayload, readHypotheses } from "#src/work/generation.js";

type Ids = readonly number[];
export type Driver = (model: GenerationModel, sentences: readonly Ids[]) => Promise<Ids[]>;

/** Millrace's engine: sentences join and leave at every token. */
export function perToken(rowsMax: number, beams = 1): Driver {
  return async (model, sentences) => {
    const results: Ids[] = [];
    const engine = new GenerationEngine(
      model,
      {
        onRun: () => {},
        onOutcomes: (outcomes) => {
          for (const outcome of outcomes) {
            if (!outcome.ok) throw new Error(outcome.message);
            results[outcome.itemId] = readHypotheses(outcome.value)?.[0]?.tokenIds ?? [];
          }
        },
      },
      { ...generationEngineDefaults, rowsMax },
    );
    const settings = { ...settingsOf(model), beams };
    engine.admit(
      "bulk",
      sentences.map((tokenIds, itemId) => ({
        itemId,
        payload: generationPayload({ tokenIds, settings }),
      })),
    );
    while (!engine.idle) await engine.step();
    return results;
  };
}

/** One sentence at a time, to its end. */
export const oneByOne: Driver = async (model, sentences) => {
  const results: Ids[] = [];
  for (const sentence of sentences) results.push(...(await perToken(1)(model, [sentence])));
  return results;
};

/** Batches in order of arrival; a batch ends when its slowest sentence has ended, and no row leaves before. */
export function staticBatches(size: number): Driver {
  return async (model, sentences) => {
    const results: Ids[] = [];
    for (let from = 0; from < sentences.length; from += size) {
      results.push(...(await runBatch(model, sentences.slice(from, from + size))));
    }
    return results;
  };
}

async function runBatch(model: GenerationModel, batch: readonly Ids[]): Promise<Ids[]> {
  const { shape, generation } = model.manifest;
  const width = padWidth(Math.max(...batch.map((sentence) => sentence.length)));
  const encoded = await model.encode(batch, width);
  const arena = new Arena({
    ...cacheShapeOf(shape),
    width: 1,
    crossWidth: width,
    slotsMax: batch.length,
  });
  const rules: SearchRules = generation;
  const start = { settings: settingsOf(model), rules, startTokenId: generation.startTokenId };
  const rows = batch.map((sentence, index) => {
    arena.add(encoded, index, sentence.length);
    return { search: new GreedySearch(start), ended: false };
  });
  const tokens = new Int32Array(batch.length).fill(generation.startTokenId);
  const count = candidatesNeeded(1, rules);
  while (rows.some((row) => !row.ended)) {
    arena.reserve();
    const step = await model.step(arena, tokens, count);
    arena.advance();
    for (const [rowOffset, row] of rows.entries()) {
      if (row.ended) continue;
      if (row.search.forced) {
        row.search.force();
        row.ended = true;
      } else row.ended = row.search.advance({ ...step, count, rowOffset });
      tokens[rowOffset] = row.search.tokens[0] ?? 0;
    }
  }
  return rows.map((row) => row.search.results()[0]?.tokenIds ?? []);
}

function settingsOf({ manifest }: GenerationModel) {
  const { lengthPenalty, maxLength } = manifest.generation;
  return { beams: 1, nBest: 1, lengthPenalty, maxLength };
}
