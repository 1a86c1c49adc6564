/** The two sessions of a model that generates, and what goes into and comes out of their runs. */
import type { GenerationManifest } from "../../models/manifest-generation.js";
import { needsWideSums } from "../../models/quantization.js";
import { badTokens } from "../../work/generation.js";
import { flatten, maskedScore } from "../flat-batch.js";
import { Binding, type OnWatched } from "../native/binding.js";
import { NativeSession, type RunWatcher } from "../native/native-session.js";
import type { NativeData } from "../native/native-tensor.js";
import { checkOutputTypes, type OutputType } from "../output-types.js";
import type { SessionOptions } from "../session-settings.js";
import { openSharedBy, type SharedWeights } from "../shared-weights.js";
import { type Arena, cacheShapeOf, type EncodedBatch } from "./arena.js";
import { Scratch } from "./scratch.js";

/** What a step found; its arrays are the model's own, may be longer, and the next step writes over them. */
export interface StepResult {
  /** `[rows, topK]`: token ids and their log-probabilities, best first. */
  readonly ids: Int32Array;
  readonly scores: Float32Array;
  /** `[rows, badCount]`: log-probabilities of the tokens that can complete a bad word. */
  readonly badScores: Float32Array;
  readonly badCount: number;
}

/** The part of the manifest that a run needs. */
export type GenerationShape = Pick<
  GenerationManifest,
  "shape" | "generation" | "quantization" | "shortlist"
>;

export interface LoadOptions extends Omit<SessionOptions, "wideSums" | "packed" | "profilePrefix"> {
  /** Sees those outputs of a run that the engine does not use: what calibration watches. */
  readonly onWatched?: OnWatched;
  /** Where the weights can be shared with other processes. */
  readonly shared?: BothGraphs<SharedWeights> | null;
  /** Told of each run. */
  readonly watchers?: BothGraphs<RunWatcher>;
  /** Of the files that tell how long each node took; see `endProfiling`. */
  readonly profilePrefixes?: BothGraphs<string>;
}

export type BothGraphs<Value> = Readonly<Record<"encoder" | "decoder", Value>>;

export class GenerationModel {
  readonly manifest: GenerationShape;
  readonly #sessions: BothGraphs<NativeSession>;
  #encoding: Binding;
  readonly #stepping: Binding;
  readonly #badCount: number;
  /** Which of two ways of attention the decoder has. */
  readonly #hasKernels: boolean;
  readonly #ids = new Scratch((length) => new Int32Array(length));
  readonly #scores = new Scratch((length) => new Float32Array(length));
  readonly #badScores = new Scratch((length) => new Float32Array(length));
  readonly #lengths = new Scratch((length) => new Int32Array(length));
  readonly #crossCaches: Scratch<Float32Array>[] = [];
  readonly #pastMask = new Scratch((length) => new Float32Array(length));
  readonly #pastPlaces = new Scratch((length) => new BigInt64Array(length));
  readonly #crossMask = new Scratch((length) => new Float32Array(length));
  readonly #sentenceShape = new BigInt64Array(2);
  readonly #queryShape = new BigInt64Array(5);
  readonly #total = new Int32Array(1);
  readonly #crossShape = new BigInt64Array(3);
  readonly #topK = new BigInt64Array(1);

  private constructor(
    manifest: GenerationShape,
    sessions: BothGraphs<NativeSession>,
    options: LoadOptions,
  ) {
    this.manifest = manifest;
    this.#sessions = sessions;
    const { onWatched } = options;
    this.#encoding = new Binding(sessions.encoder, encoderOutputs(manifest), onWatched);
    this.#stepping = new Binding(sessions.decoder, decoderOutputs(manifest), onWatched);
    this.#hasKernels = sessions.decoder.inputs.some(({ name }) => name === "total_length");
    this.#badCount = badTokens(manifest.generation.badWords).length;
  }

  /** Throws where a graph cannot be opened, or gives other outputs than the engine reads. */
  static async load(
    paths: BothGraphs<string>,
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
    const open = (side: "encoder" | "decoder") =>
      openSharedBy((path, of) => NativeSession.open(path, of, options.watchers?.[side]), {
        graph: paths[side],
        options: { ...session, ...profileOf(options, side) },
        shared: options.shared?.[side] ?? null,
      });
    const encoder = await open("encoder");
    let decoder: NativeSession | undefined;
    try {
      checkOutputTypes("encoder", encoder, encoderOutputs(manifest));
      decoder = await open("decoder");
      checkOutputTypes("decoder", decoder, decoderOutputs(manifest));
    } catch (error) {
      encoder.release();
      decoder?.release();
      throw error;
    }
    return new GenerationModel(manifest, { encoder, decoder }, options);
  }

  async release(): Promise<void> {
    this.rest();
    this.#sessions.encoder.release();
    this.#sessions.decoder.release();
  }

  /** Paths of the files, of a model that was loaded with `profilePrefixes`. It can still run. */
  endProfiling(): BothGraphs<string> {
    const { encoder, decoder } = this.#sessions;
    return { encoder: encoder.endProfiling(), decoder: decoder.endProfiling() };
  }

  /** Nothing runs for a while: the lanes' arrays are held by nobody here any more, and of the model's own only small ones are kept. */
  rest(): void {
    this.#encoding.clear();
    this.#stepping.clear();
    for (const scratch of this.#scratches()) scratch.rest();
  }

  /** Of arrays that are used from run to run. */
  get memoryBytes(): number {
    return this.#scratches().reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  #scratches(): readonly Scratch<NativeData>[] {
    return [
      this.#ids,
      this.#scores,
      this.#badScores,
      this.#lengths,
      this.#pastMask,
      this.#pastPlaces,
      this.#crossMask,
      ...this.#crossCaches,
    ];
  }

  /** `onWatched` is not called for the encoder any more. */
  watchDecoderOnly(): void {
    this.#encoding.clear();
    this.#encoding = new Binding(this.#sessions.encoder, encoderOutputs(this.manifest));
  }

  /**
   * Encodes sentences; attention sees them side by side, padded to `width`. The next call writes over what this one gives. Throws
   * what ONNX Runtime throws.
   */
  async encode(sentences: readonly (readonly number[])[], width: number): Promise<EncodedBatch> {
    const { layers, heads, size } = cacheShapeOf(this.manifest.shape);
    const count = sentences.length;
    const batch = flatten(sentences, width);
    const shape = [count, heads, width, size];
    const floats = count * heads * width * size;
    const caches = Array.from({ length: layers }, (_, layer) => ({
      key: this.#cross(2 * layer).take(floats),
      value: this.#cross(2 * layer + 1).take(floats),
    }));
    const run = this.#encoding;
    run.feed("input_ids", batch.tokens, [batch.tokens.length]);
    run.feed("positions", batch.positions, [batch.tokens.length]);
    run.feed("mask", batch.mask, [count, 1, 1, width]);
    run.feed("place_tokens", batch.placeTokens, [count * width]);
    run.feed("token_places", batch.tokenPlaces, [batch.tokens.length]);
    setLongs(this.#sentenceShape, [count, width]);
    run.feed("sentence_shape", this.#sentenceShape, [2]);
    for (const [layer, { key, value }] of caches.entries()) {
      run.fetch(`cross_k.${layer}`, key, shape);
      run.fetch(`cross_v.${layer}`, value, shape);
    }
    await run.run();
    return {
      width,
      keys: caches.map(({ key }) => key),
      values: caches.map(({ value }) => value),
    };
  }

  #cross(place: number): Scratch<Float32Array> {
    const found = this.#crossCaches[place];
    if (found !== undefined) return found;
    const made = new Scratch((length) => new Float32Array(length));
    this.#crossCaches[place] = made;
    return made;
  }

  /**
   * Advances every row of the arena by one token, whose key and value it writes into the arena. `tokens[r]` is the newest
   * token of row r. Throws what ONNX Runtime throws.
   */
  async step(arena: Arena, tokens: Int32Array, topK: number): Promise<StepResult> {
    const { count, shape } = arena;
    const rows = count * shape.width;
    const badCount = this.#badCount;
    const ids = this.#ids.take(rows * topK);
    const scores = this.#scores.take(rows * topK);
    const badScores = this.#badScores.take(rows * badCount);
    const run = this.#stepping;
    run.feed("tokens", tokens, [rows]);
    run.feed("lengths", this.#rowLengths(arena), [rows]);
    if (this.#hasKernels) this.#feedLengths(run, arena);
    else this.#feedMasks(run, arena);
    setLongs(this.#topK, [topK]);
    run.feed("top_k", this.#topK, [1]);
    addCaches(run, arena);
    run.fetch("top_ids", ids, [rows, topK]);
    run.fetch("top_scores", scores, [rows, topK]);
    if (badCount > 0) run.fetch("bad_scores", badScores, [rows, badCount]);
    await run.run();
    return { ids, scores, badScores, badCount };
  }

  /** What attention by kernels takes beside the caches (src/convert/marian/decoder-attention.ts). */
  #feedLengths(run: Binding, arena: Arena): void {
    const { count, crossLengths, shape } = arena;
    this.#total[0] = arena.longest() + 1;
    run.feed("total_length", this.#total, [1]);
    run.feed("cross_lengths", crossLengths, [count]);
    setLongs(this.#crossShape, [count, shape.width, shape.heads * shape.size]);
    run.feed("cross_shape", this.#crossShape, [3]);
  }

  /** What attention by products takes. */
  #feedMasks(run: Binding, arena: Arena): void {
    const { count, pastWidth, shape } = arena;
    const { heads, size, width, crossWidth } = shape;
    const rows = count * width;
    run.feed("past_places", this.#placesIn(arena), [rows, heads, 3]);
    run.feed("past_mask", this.#pastMaskOf(arena), [rows, 1, 1, pastWidth]);
    run.feed("cross_mask", this.#crossMaskOf(arena), [count, 1, 1, 1, crossWidth]);
    setLongs(this.#queryShape, [count, width, heads, 1, size]);
    run.feed("query_shape", this.#queryShape, [5]);
  }

  #rowLengths({ count, shape: { width }, lengths }: Arena): Int32Array {
    const rowLengths = this.#lengths.take(count * width);
    for (let slot = 0; slot < count; slot += 1) {
      rowLengths.fill(lengths[slot] ?? 0, slot * width, (slot + 1) * width);
    }
    return rowLengths;
  }

  /** Where each head of each row's new token goes: row, head, token. */
  #placesIn({ count, shape: { width, heads }, lengths }: Arena): BigInt64Array {
    const rows = count * width;
    const places = this.#pastPlaces.take(rows * heads * 3);
    // The low halves of numbers that are below 2³¹: thousands of bigints a step would have to be made and collected.
    const low = new Int32Array(places.buffer);
    for (let row = 0, at = 0; row < rows; row += 1) {
      const length = lengths[Math.floor(row / width)] ?? 0;
      for (let head = 0; head < heads; head += 1, at += 6) {
        low[at] = row;
        low[at + 2] = head;
        low[at + 4] = length;
      }
    }
    return places;
  }

  /** The past and the new token are seen, what is behind them is not. */
  #pastMaskOf({ count, shape: { width }, lengths, pastWidth }: Arena): Float32Array {
    const mask = this.#pastMask.take(count * width * pastWidth);
    for (let row = 0; row < count * width; row += 1) {
      const seen = (lengths[Math.floor(row / width)] ?? 0) + 1;
      setMask(mask, { from: row * pastWidth, seen, width: pastWidth });
    }
    return mask;
  }

  #crossMaskOf({ count, shape: { crossWidth }, crossLengths }: Arena): Float32Array {
    const mask = this.#crossMask.take(count * crossWidth);
    for (let slot = 0; slot < count; slot += 1) {
      const seen = crossLengths[slot] ?? 0;
      setMask(mask, { from: slot * crossWidth, seen, width: crossWidth });
    }
    return mask;
  }
}

function setMask(
  mask: Float32Array,
  { from, seen, width }: { readonly from: number; readonly seen: number; readonly width: number },
): void {
  mask.fill(0, from, from + seen);
  mask.fill(maskedScore, from + seen, from + width);
}

/** The arena's memory as inputs of a step, and its past as what the step writes, too. */
function addCaches(run: Binding, { layers, count, pastWidth, shape }: Arena): void {
  const { heads, size, width, crossWidth } = shape;
  const past = [count * width, heads, pastWidth, size];
  const cross = [count, heads, crossWidth, size];
  for (const [number, layer] of layers.entries()) {
    run.bindInPlace([`past_k.${number}`, `present_k.${number}`], layer.pastKey, past);
    run.bindInPlace([`past_v.${number}`, `present_v.${number}`], layer.pastValue, past);
    run.feed(`cross_k.${number}`, layer.crossKey, cross);
    run.feed(`cross_v.${number}`, layer.crossValue, cross);
  }
}

function setLongs(longs: BigInt64Array, values: readonly number[]): void {
  for (const [place, value] of values.entries()) longs[place] = BigInt(value);
}

function profileOf(
  { profilePrefixes }: LoadOptions,
  side: "encoder" | "decoder",
): Pick<SessionOptions, "profilePrefix"> {
  return profilePrefixes === undefined ? {} : { profilePrefix: profilePrefixes[side] };
}

function encoderOutputs({ shape }: GenerationShape): Readonly<Record<string, OutputType>> {
  const names = Array.from({ length: shape.decoderLayers }, (_, layer) => [
    `cross_k.${layer}`,
    `cross_v.${layer}`,
  ]).flat();
  return Object.fromEntries(names.map((name) => [name, "float32"]));
}

function decoderOutputs({
  generation,
  shape,
}: GenerationShape): Readonly<Record<string, OutputType>> {
  const outputs: Record<string, OutputType> = { top_ids: "int32", top_scores: "float32" };
  for (let layer = 0; layer < shape.decoderLayers; layer += 1) {
    outputs[`present_k.${layer}`] = "float32";
    outputs[`present_v.${layer}`] = "float32";
  }
  if (generation.badWords.length > 0) outputs["bad_scores"] = "float32";
  return outputs;
}
