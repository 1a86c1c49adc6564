/** The two sessions of a translation model, and what goes into and comes out of their runs. */
import type { GenerationManifest } from "../models/manifest-generation.js";
import { needsWideSums } from "../models/quantization.js";
import type { Arena, EncodedBatch } from "./arena.js";
import { flatten } from "./flat-batch.js";
import { badTokens } from "./search/search.js";
import {
  type Feeds,
  type Fetches,
  f32,
  floatsOf,
  i32,
  i64,
  intsOf,
  openSession,
  type Session,
  type SessionOptions,
} from "./session.js";

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
export type TranslationShape = Pick<GenerationManifest, "shape" | "generation" | "quantization">;

export interface LoadOptions extends Omit<SessionOptions, "wideSums"> {
  /** Sees everything that a run returned, for calibration. */
  readonly onFetches?: (fetches: Fetches) => void;
}

export class TranslationModel {
  readonly manifest: TranslationShape;
  readonly #encoder: Session;
  readonly #decoder: Session;
  readonly #badCount: number;
  #onEncoded: LoadOptions["onFetches"];
  readonly #onStepped: LoadOptions["onFetches"];

  private constructor(
    manifest: TranslationShape,
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

  static async load(
    paths: { readonly encoder: string; readonly decoder: string },
    manifest: TranslationShape,
    options: LoadOptions,
  ): Promise<TranslationModel> {
    const session = { ...options, wideSums: needsWideSums(manifest.quantization) };
    const encoder = await openSession(paths.encoder, session);
    const decoder = await openSession(paths.decoder, session);
    return new TranslationModel(manifest, { encoder, decoder }, options);
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
    const layers = Array.from({ length: shape.decoderLayers }, (_, layer) => layer);
    return {
      width,
      keys: layers.map((layer) => floatsOf(fetches, `cross_k.${layer}`)),
      values: layers.map((layer) => floatsOf(fetches, `cross_v.${layer}`)),
    };
  }

  /** Advances every row of the arena by one token. `tokens[r]` is the newest token of row r. */
  async step(arena: Arena, tokens: Int32Array, topK: number): Promise<StepResult> {
    const fetches = await this.#decoder.run(this.#stepFeeds(arena, tokens, topK));
    this.#onStepped?.(fetches);
    return {
      ids: intsOf(fetches, "top_ids"),
      scores: floatsOf(fetches, "top_scores"),
      badScores: this.#badCount === 0 ? new Float32Array() : floatsOf(fetches, "bad_scores"),
      badCount: this.#badCount,
      newKeyValues: floatsOf(fetches, "new_kv"),
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

function prefix(values: Float32Array, shape: readonly number[]): Float32Array {
  return values.subarray(
    0,
    shape.reduce((product, size) => product * size, 1),
  );
}
