/** The two sessions of a model that generates, and what goes into and comes out of their runs. */
import type { GenerationManifest } from "../../models/manifest-generation.js";
import { needsWideSums } from "../../models/quantization.js";
import { badTokens } from "../../work/generation.js";
import { flatten } from "../flat-batch.js";
import {
  checkOutputs,
  type Feeds,
  type Fetches,
  f32,
  floatsOf,
  i32,
  i64,
  intsOf,
  type OutputType,
  type Session,
  type SessionOptions,
} from "../session.js";
import { openShared, type SharedWeights } from "../shared-weights.js";
import type { Arena, EncodedBatch } from "./arena.js";

export interface StepResult {
  /** `[rows, topK]`: token ids and their log-probabilities, best first. */
  readonly ids: Int32Array;
  readonly scores: Float32Array;
  /** `[rows, badCount]`: log-probabilities of the tokens that can complete a bad word. */
  readonly badScores: Float32Array;
  readonly badCount: number;
  /** `[rows, layers × 2 × heads × size]`. */
  readonly newKeyValues: Float32Array;
}

/** The part of the manifest that a run needs. */
export type GenerationShape = Pick<GenerationManifest, "shape" | "generation" | "quantization">;

export interface LoadOptions extends Omit<SessionOptions, "wideSums" | "packed"> {
  /** Sees everything that a run returned, for calibration. */
  readonly onFetches?: (fetches: Fetches) => void;
  /** Where the weights can be shared with other processes. */
  readonly shared?: Readonly<Record<"encoder" | "decoder", SharedWeights>> | null;
}

export class GenerationModel {
  readonly manifest: GenerationShape;
  readonly #encoder: Session;
  readonly #decoder: Session;
  readonly #badCount: number;
  #onEncoded: LoadOptions["onFetches"];
  readonly #onStepped: LoadOptions["onFetches"];

  private constructor(
    manifest: GenerationShape,
    sessions: { readonly encoder: Session; readonly decoder: Session },
    options: LoadOptions,
  ) {
    this.manifest = manifest;
    this.#encoder = sessions.encoder;
    this.#decoder = sessions.decoder;
    this.#onEncoded = options.onFetches;
    this.#onStepped = options.onFetches;
    this.#badCount = badTokens(manifest.generation.badWords).length;
  }

  /** Throws where a graph cannot be opened, or gives other outputs than the engine reads. */
  static async load(
    paths: { readonly encoder: string; readonly decoder: string },
    manifest: GenerationShape,
    options: LoadOptions,
  ): Promise<GenerationModel> {
    const { threads, spin, prepack, data = [] } = options;
    const wideSums = needsWideSums(manifest.quantization);
    const session = {
      threads,
      spin,
      wideSums,
      data,
      ...(prepack === undefined ? {} : { prepack }),
    };
    const encoder = await openShared(paths.encoder, session, options.shared?.encoder ?? null);
    let decoder: Session | undefined;
    try {
      checkOutputs(encoder, { name: "encoder", wanted: encoderOutputs(manifest) });
      decoder = await openShared(paths.decoder, session, options.shared?.decoder ?? null);
      checkOutputs(decoder, { name: "decoder", wanted: decoderOutputs(manifest) });
    } catch (error) {
      await Promise.all([encoder.release(), decoder?.release()]);
      throw error;
    }
    return new GenerationModel(manifest, { encoder, decoder }, options);
  }

  async release(): Promise<void> {
    await this.#encoder.release();
    await this.#decoder.release();
  }

  /** `onFetches` is not called for the encoder any more. */
  watchDecoderOnly(): void {
    this.#onEncoded = undefined;
  }

  /** Encodes sentences; attention sees them side by side, padded to `width`. Throws what ONNX Runtime throws. */
  async encode(sentences: readonly (readonly number[])[], width: number): Promise<EncodedBatch> {
    const { shape } = this.manifest;
    const count = sentences.length;
    const batch = flatten(sentences, width);
    const fetches = await this.#encoder.run({
      input_ids: i32(batch.tokens, [batch.tokens.length]),
      positions: i32(batch.positions, [batch.tokens.length]),
      mask: f32(batch.mask, [count, 1, 1, width]),
      place_tokens: i32(batch.placeTokens, [count * width]),
      token_places: i32(batch.tokenPlaces, [batch.tokens.length]),
      sentence_shape: i64([count, width]),
    });
    this.#onEncoded?.(fetches);
    const floats = count * width * shape.width;
    const layers = Array.from({ length: shape.decoderLayers }, (_, layer) => layer);
    return {
      width,
      keys: layers.map((layer) => floatsOf(fetches, `cross_k.${layer}`, floats)),
      values: layers.map((layer) => floatsOf(fetches, `cross_v.${layer}`, floats)),
    };
  }

  /**
   * Advances every row of the arena by one token. `tokens[r]` is the newest token of row r. Throws what ONNX Runtime
   * throws, and where an output is of another size than the rows make it.
   */
  async step(arena: Arena, tokens: Int32Array, topK: number): Promise<StepResult> {
    const fetches = await this.#decoder.run(this.#stepFeeds(arena, tokens, topK));
    this.#onStepped?.(fetches);
    const rows = arena.count * arena.shape.width;
    const badCount = this.#badCount;
    const { decoderLayers, width } = this.manifest.shape;
    return {
      ids: intsOf(fetches, "top_ids", rows * topK),
      scores: floatsOf(fetches, "top_scores", rows * topK),
      badScores:
        badCount === 0 ? new Float32Array() : floatsOf(fetches, "bad_scores", rows * badCount),
      badCount,
      newKeyValues: floatsOf(fetches, "new_kv", rows * decoderLayers * 2 * width),
    };
  }

  #stepFeeds(arena: Arena, tokens: Int32Array, topK: number): Feeds {
    const { count, pastWidth, shape } = arena;
    const { heads, size, width, crossWidth } = shape;
    const rows = count * width;
    const past = [rows, heads, pastWidth, size];
    const cross = [count, heads, crossWidth, size];
    const positions = new Int32Array(rows);
    for (let row = 0; row < rows; row += 1) {
      positions[row] = arena.lengths[Math.floor(row / width)] ?? 0;
    }
    const feeds: Record<string, Feeds[string]> = {
      tokens: i32(tokens.subarray(0, rows), [rows]),
      positions: i32(positions, [rows]),
      past_mask: f32(prefix(arena.pastMask, [rows, pastWidth]), [rows, 1, 1, pastWidth]),
      cross_mask: f32(prefix(arena.crossMask, [count, crossWidth]), [count, 1, 1, crossWidth]),
      cross_shape: i64([count, width, heads, size]),
      top_k: i64([topK]),
    };
    for (const [number, layer] of arena.layers.entries()) {
      feeds[`past_k.${number}`] = f32(prefix(layer.pastKey, past), past);
      feeds[`past_v.${number}`] = f32(prefix(layer.pastValue, past), past);
      feeds[`cross_k.${number}`] = f32(prefix(layer.crossKey, cross), cross);
      feeds[`cross_v.${number}`] = f32(prefix(layer.crossValue, cross), cross);
    }
    return feeds;
  }
}

function encoderOutputs({ shape }: GenerationShape): Readonly<Record<string, OutputType>> {
  const names = Array.from({ length: shape.decoderLayers }, (_, layer) => [
    `cross_k.${layer}`,
    `cross_v.${layer}`,
  ]).flat();
  return Object.fromEntries(names.map((name) => [name, "float32"]));
}

function decoderOutputs({ generation }: GenerationShape): Readonly<Record<string, OutputType>> {
  const outputs = { top_ids: "int32", top_scores: "float32", new_kv: "float32" } as const;
  return generation.badWords.length === 0 ? outputs : { ...outputs, bad_scores: "float32" };
}

function prefix(values: Float32Array, shape: readonly number[]): Float32Array {
  return values.subarray(
    0,
    shape.reduce((product, size) => product * size, 1),
  );
}
