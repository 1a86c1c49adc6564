/**
 * Finds the constant scales of static int8: runs sentences through a float32 model whose products are watched,
 * keeps a sample of each product's input, and chooses the range that loses least. A product whose result would
 * suffer too much stays float32, and says so.
 */
import { setImmediate } from "node:timers/promises";
import { MillraceError } from "millrace-client/wire";
import { readTextFile } from "../models/read-json.js";
import { messageOf } from "../work/thrown.js";
import { chooseActivationScale, typicalError } from "./activation-scale.js";
import type { CalibrationRuns, WatchedOutputs } from "./family.js";
import type { ActivationScale, ProductMode } from "./products.js";

export interface CalibrationInput {
  /** Folder of the watched model. */
  readonly dir: string;
  readonly runs: CalibrationRuns;
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
const lineCharactersMax = 2_000;
const sampleRowsMax = 1024;

export async function calibrate(input: CalibrationInput): Promise<CalibrationReport> {
  const { dir, runs } = input;
  const samples = new Map(input.products.map((product) => [product, new RowSample()]));
  const onWatched = (watched: WatchedOutputs) => {
    for (const [product, sample] of samples) {
      const { data, shape } = watched[`watch:${product}`] ?? {};
      if (data instanceof Float32Array) sample.add(data, shape?.at(-1) ?? 1);
    }
  };
  const onProgress = (done: number) => input.onProgress(0.8 * done);
  const failure = await runs.run({ dir, onWatched, onProgress });
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
  return { modes: new Map(modes), products, sentencesText: `${runs.count} sentences` };
}

/** The first lines of the file that are not empty. Throws `option_invalid` where it cannot be read. */
export async function readCalibrationLines(path: string): Promise<string[]> {
  const text = await readTextFile(path, sentencesBytesMax).catch((cause: unknown) => {
    const why = messageOf(cause);
    throw new MillraceError("option_invalid", `${path} cannot be read: ${why}`, { cause });
  });
  return text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line.length > 0)
    .slice(0, sentencesMax)
    .map((line) => line.slice(0, lineCharactersMax));
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
