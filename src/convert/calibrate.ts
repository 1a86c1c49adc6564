/**
 * Finds the constant scales of static int8: runs sentences through a float32 model whose products are watched,
 * keeps a sample of each product's input, and chooses the range that loses least. A product whose result would
 * suffer too much stays float32, and says so.
 */
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { MillraceError } from "millrace-client/wire";
import type { GenerationManifest } from "../models/manifest-generation.js";
import { readTextFile } from "../models/read-json.js";
import type { HuggingFaceTokenizer } from "../prepare/text/huggingface-tokenizers.js";
import { GenerationEngine } from "../runtime/generation/generation-engine.js";
import { GenerationModel } from "../runtime/generation/generation-model.js";
import { type Fetches, floatsOf } from "../runtime/session.js";
import { generationPayload } from "../work/generation.js";
import { chooseActivationScale, typicalError } from "./activation-scale.js";
import type { ActivationScale, ProductMode } from "./products.js";

export interface CalibrationInput {
  /** Folder of the watched model. */
  readonly dir: string;
  readonly files: GenerationManifest["files"];
  /** As token ids; see `readSentences`. */
  readonly sentences: readonly (readonly number[])[];
  readonly shape: GenerationManifest["shape"];
  readonly generation: GenerationManifest["generation"];
  readonly products: readonly string[];
  readonly onProgress: (done: number) => void;
}

export interface ProductCalibration {
  readonly product: string;
  readonly activation: ActivationScale;
  /** What rounding takes from a typical channel of the sampled inputs; see `typicalError`. */
  readonly inputError: number;
  readonly precision: "int8" | "f32";
}

export interface CalibrationReport {
  readonly modes: ReadonlyMap<string, ProductMode>;
  readonly products: readonly ProductCalibration[];
  /** For millrace.json, e.g. `128 sentences`. */
  readonly sentencesText: string;
}

/** Above this a product's input is too badly rounded to be worth int8; the model's residuals cannot repair it. */
const inputErrorMax = 0.1;
const sentencesMax = 512;
const sentencesBytesMax = 64 * 1024 * 1024;
const sampleRowsMax = 1024;

export async function calibrate(input: CalibrationInput): Promise<CalibrationReport> {
  const { sentences } = input;
  const samples = new Map(input.products.map((product) => [product, new RowSample()]));
  const watch = (fetches: Fetches) => {
    for (const [product, sample] of samples) {
      const value = fetches[`watch:${product}`];
      if (value !== undefined)
        sample.add(floatsOf(fetches, `watch:${product}`), value.dims.at(-1) ?? 1);
    }
  };
  const failure = await runSentences(input, watch);
  // What overflowed says more than what came of it at the end.
  for (const [product, sample] of samples) refuseOverflow(product, sample);
  if (failure !== null) {
    const message = `the model fails on a sentence of the calibration: ${failure}`;
    throw new MillraceError("weights_invalid", message);
  }
  const products: ProductCalibration[] = [];
  for (const [product, sample] of samples) {
    products.push(judge(product, sample));
    input.onProgress(0.8 + (0.2 * products.length) / samples.size);
    // A judgement takes a while: the signal of an interrupt is heard between two.
    await setImmediate();
  }
  const modes = products.map(({ product, precision, activation }): [string, ProductMode] => [
    product,
    precision === "int8" ? { kind: "int8", activation } : { kind: "f32" },
  ]);
  return { modes: new Map(modes), products, sentencesText: `${sentences.length} sentences` };
}

/** Throws `option_invalid` where the file cannot be read or has no sentence that the model takes. */
export async function readSentences(
  path: string,
  tokenizer: Pick<HuggingFaceTokenizer, "encode">,
  tokensMax: number,
): Promise<number[][]> {
  const text = await readTextFile(path, sentencesBytesMax).catch((cause: unknown) => {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new MillraceError("option_invalid", `${path} cannot be read: ${why}`, { cause });
  });
  const sentences = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line.length > 0)
    .slice(0, sentencesMax)
    .map((line) => tokenizer.encode(line.slice(0, 2_000)).ids)
    .filter((ids) => ids.length <= tokensMax);
  if (sentences.length > 0) return sentences;
  throw new MillraceError("option_invalid", `${path} has no sentence to calibrate on`);
}

/**
 * Null, or why the model failed on a sentence, the first that it failed on.
 *
 * Sentence by sentence: without padding, so that only real tokens are seen, on one thread and alone, so that the same
 * sentences give the same scales every time.
 */
async function runSentences(
  input: CalibrationInput,
  watch: (fetches: Fetches) => void,
): Promise<string | null> {
  const { dir, files, shape, generation, sentences } = input;
  const load = { threads: 1, spin: false, prepack: false, onFetches: watch };
  const model = await GenerationModel.load(
    { encoder: join(dir, files.encoder), decoder: join(dir, files.decoder) },
    { shape, generation, quantization: null },
    load,
  );
  for (const [index, sentence] of sentences.entries()) {
    await model.encode([sentence], sentence.length);
    input.onProgress((0.2 * index) / sentences.length);
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
    input.onProgress(0.2 + (0.6 * (itemId + 1)) / sentences.length);
  }
  await model.release();
  return failures[0] ?? null;
}

function refuseOverflow(product: string, { overflowed }: RowSample): void {
  if (!overflowed) return;
  const message = `the input of product ${product} is no finite number on the calibration sentences: the weights before it are too large for float32`;
  throw new MillraceError("weights_invalid", message);
}

function judge(product: string, sample: RowSample): ProductCalibration {
  const values = sample.values();
  if (values.length === 0) throw new Error(`no run was seen to use product ${product}`);
  const activation = chooseActivationScale(values);
  const inputError = typicalError(values, sample.width, activation);
  return {
    product,
    activation,
    inputError,
    precision: inputError > inputErrorMax ? "f32" : "int8",
  };
}

/** Rows of all runs alike: when it is full every second one is dropped, and from then on every second one taken. */
class RowSample {
  #rows: Float32Array[] = [];
  #every = 1;
  #seen = 0;
  /** A value of some row, sampled or not, was no finite number. */
  overflowed = false;

  get width(): number {
    return this.#rows[0]?.length ?? 0;
  }

  add(values: Float32Array, width: number): void {
    this.overflowed ||= !values.every((value) => Number.isFinite(value));
    for (let from = 0; from + width <= values.length; from += width) {
      this.#seen += 1;
      if (this.#seen % this.#every !== 0) continue;
      this.#rows.push(values.slice(from, from + width));
      if (this.#rows.length < sampleRowsMax) continue;
      this.#rows = this.#rows.filter((_, index) => index % 2 === 1);
      this.#every *= 2;
    }
  }

  values(): Float32Array {
    const whole = new Float32Array(this.#rows.reduce((sum, row) => sum + row.length, 0));
    let offset = 0;
    for (const row of this.#rows) {
      whole.set(row, offset);
      offset += row.length;
    }
    return whole;
  }
}
