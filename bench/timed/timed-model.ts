/**
 * A translation model whose runs take the time that was recorded of real ones (test/sim/recorded-runs.json) and no processor, and
 * whose answer is the input's tokens in reverse. What the engine, the server and everything before them do is real.
 *
 * Where a run's feeds would go into a kernel, the thread waits: it is as deaf meanwhile as it is in ONNX Runtime.
 */
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import type { GenerationManifest } from "#src/models/manifest-generation.js";
import { type Arena, cacheShapeOf, type EncodedBatch } from "#src/runtime/generation/arena.js";
import type { GenerationRuns } from "#src/runtime/generation/generation-engine.js";
import type { StepResult } from "#src/runtime/generation/generation-model.js";
import { badTokens } from "#src/work/generation.js";
import { runMs } from "../../test/sim/recorded-runs.js";

interface TimedOptions {
  /** Of the recorded times; 0: runs take no time at all. */
  readonly factor: number;
  /** Folder where each process writes how many sentences it began; null: nobody counts. */
  readonly countsDir: string | null;
}

/** What nobody would choose beside the wanted token. */
const unlikely = -30;

export class TimedModel implements GenerationRuns {
  readonly manifest: GenerationRuns["manifest"];
  readonly memoryBytes = 0;
  readonly #options: TimedOptions;
  readonly #badCount: number;
  readonly #never = new Int32Array(new SharedArrayBuffer(4));

  constructor({ shape, generation, quantization }: GenerationManifest, options: TimedOptions) {
    // The cache holds one head for each token of the source, which begins with the token.
    const small = { ...shape, decoderLayers: 1, decoderHeads: 1, width: 1 };
    this.manifest = { shape: small, generation, quantization };
    this.#options = options;
    this.#badCount = badTokens(generation.badWords).length;
  }

  rest(): void {}

  async release(): Promise<void> {}

  async encode(sentences: readonly (readonly number[])[], width: number): Promise<EncodedBatch> {
    const { countsDir } = this.#options;
    if (countsDir !== null)
      appendFileSync(join(countsDir, String(process.pid)), `${sentences.length}\n`);
    this.#wait(runMs("encode", sentences.length, width));
    const { size } = cacheShapeOf(this.manifest.shape);
    const keys = new Float32Array(sentences.length * width * size);
    for (const [index, sentence] of sentences.entries()) {
      for (const [place, token] of sentence.entries()) keys[(index * width + place) * size] = token;
    }
    return { width, keys: [keys], values: [new Float32Array(keys.length)] };
  }

  async step(arena: Arena, _tokens: Int32Array, topK: number): Promise<StepResult> {
    const { width, crossWidth } = arena.shape;
    const rows = arena.count * width;
    this.#wait(runMs("decode", rows, Math.max(arena.pastWidth, crossWidth)));
    const ids = new Int32Array(rows * topK);
    const scores = new Float32Array(rows * topK).fill(unlikely);
    for (let row = 0; row < rows; row += 1) {
      const wanted = this.#wanted(arena, Math.floor(row / width));
      ids[row * topK] = wanted;
      scores[row * topK] = -0.01;
      for (let place = 1, other = 3; place < topK; place += 1, other += 1) {
        if (other === wanted) other += 1;
        ids[row * topK + place] = other;
      }
    }
    const badScores = new Float32Array(rows * this.#badCount).fill(unlikely);
    return { ids, scores, badScores, badCount: this.#badCount };
  }

  /** The source's tokens from the last to the first, then the end. */
  #wanted(arena: Arena, slot: number): number {
    const { crossWidth, size } = arena.shape;
    const from = slot * crossWidth;
    const place = (arena.crossLengths[slot] ?? 0) - 2 - (arena.lengths[slot] ?? 0);
    const token = place < 0 ? undefined : arena.layers[0]?.crossKey[(from + place) * size];
    return token ?? this.manifest.generation.endTokenId;
  }

  #wait(recordedMs: number): void {
    const ms = recordedMs * this.#options.factor;
    if (ms > 0) Atomics.wait(this.#never, 0, 0, ms);
  }
}
