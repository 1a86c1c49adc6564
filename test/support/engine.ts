/** A translation engine in this process, on a real model folder. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { FrameItem, FrameOutcome } from "#src/frames/messages.js";
import { createTokenizer } from "#src/prepare/text/huggingface-tokenizers.js";
import {
  GenerationEngine,
  type GenerationEngineOptions,
  type GenerationRuns,
  generationEngineDefaults,
} from "#src/runtime/generation/generation-engine.js";
import { GenerationModel } from "#src/runtime/generation/generation-model.js";
import {
  type GenerationSettings,
  generationPayload,
  type Hypothesis,
  readHypotheses,
} from "#src/work/generation.js";
import { readGeneration } from "./read-generation.js";

/** The int8 model that the project ships. */
export const bundledModelDir: string = join(process.cwd(), "models", "en-zh");

export async function openModel(dir: string, threads = 1): Promise<GenerationModel> {
  const manifest = await readGeneration(dir);
  const paths = {
    encoder: join(dir, manifest.files.encoder),
    decoder: join(dir, manifest.files.decoder),
  };
  return await GenerationModel.load(paths, manifest, { threads, spin: false });
}

export interface Sentence {
  readonly tokenIds: readonly number[];
  readonly settings?: Partial<GenerationSettings>;
}

/** An engine whose outcomes are kept by item id; every item may have one and only one. */
export class WatchedEngine {
  readonly engine: GenerationEngine;
  readonly outcomes = new Map<number, FrameOutcome>();
  readonly #model: GenerationRuns;

  constructor(model: GenerationRuns, options: Partial<GenerationEngineOptions> = {}) {
    this.#model = model;
    this.engine = new GenerationEngine(
      model,
      {
        onRun: () => {},
        onOutcomes: (outcomes) => {
          for (const outcome of outcomes) {
            assert.ok(!this.outcomes.has(outcome.itemId), `item ${outcome.itemId} ended twice`);
            this.outcomes.set(outcome.itemId, outcome);
          }
        },
      },
      { ...generationEngineDefaults, ...options },
    );
  }

  /** The model's own settings, greedy, unless the sentence says otherwise. */
  itemOf(itemId: number, { tokenIds, settings }: Sentence): FrameItem {
    const { lengthPenalty, maxLength } = this.#model.manifest.generation;
    const whole = { beams: 1, nBest: 1, lengthPenalty, maxLength, ...settings };
    return { itemId, payload: generationPayload({ tokenIds, settings: whole }) };
  }

  async finish(): Promise<void> {
    while (!this.engine.idle) await this.engine.step();
  }

  hypotheses(itemId: number): readonly Hypothesis[] {
    const outcome = this.outcomes.get(itemId);
    assert.ok(outcome !== undefined, `item ${itemId} has no outcome`);
    assert.ok(outcome.ok, `item ${itemId}: ${outcome.ok ? "" : outcome.message}`);
    const hypotheses = readHypotheses(outcome.value);
    assert.ok(hypotheses !== null, `item ${itemId} has no hypotheses`);
    return hypotheses;
  }
}

/** All sentences together, as one bulk caller would send them; the hypotheses of each, in order. */
export async function translateAll(
  model: GenerationModel,
  sentences: readonly Sentence[],
): Promise<(readonly Hypothesis[])[]> {
  const watched = new WatchedEngine(model);
  watched.engine.admit(
    "bulk",
    sentences.map((sentence, itemId) => watched.itemOf(itemId, sentence)),
  );
  await watched.finish();
  return sentences.map((_, itemId) => watched.hypotheses(itemId));
}

/** Decodes as the server does: without special tokens, and unknown pieces leave nothing. */
export function decoderOf(dir: string, unknownTokenId: number): (ids: readonly number[]) => string {
  const json = JSON.parse(readFileSync(join(dir, "tokenizer.json"), "utf8")) as object;
  const tokenizer = createTokenizer(json, { clean_up_tokenization_spaces: false });
  return (ids) => {
    const known = ids.filter((id) => id !== unknownTokenId);
    return known.length === 0 ? "" : tokenizer.decode(known, { skip_special_tokens: true });
  };
}
