/**
 * The tensors of a graph's runs, over arrays that live elsewhere. They stay from run to run, and one is made anew only where
 * its array or its shape is another than before: a run makes nothing that would have to be collected.
 */
import type { TensorValue } from "../../work/tensors.js";
import type { NativeSession, Pointers } from "./native-session.js";
import { arrayDatatype, type NativeData, NativeTensor, takeMade } from "./native-tensor.js";
import type { Handle } from "./ort-api.js";

/** Sees those outputs that nobody fetched. */
export type OnWatched = (watched: Readonly<Record<string, TensorValue>>) => void;

interface Bound {
  readonly tensor: NativeTensor;
  readonly shape: readonly number[];
}

export class Binding {
  readonly #session: NativeSession;
  readonly #bound = new Map<string, Bound>();
  readonly #inputs: Pointers;
  readonly #inputPlaces: ReadonlyMap<string, number>;
  readonly #outputs: Pointers;
  readonly #outputPlaces: ReadonlyMap<string, number>;
  /** Outputs that nobody gives memory for. */
  readonly #watched: readonly string[];
  readonly #onWatched: OnWatched | undefined;
  #isRunning = false;

  /** `fetched` names all outputs that get memory for each run. Throws where the graph has one of them not. */
  constructor(
    session: NativeSession,
    fetched: Readonly<Record<string, unknown>>,
    onWatched?: OnWatched,
  ) {
    this.#session = session;
    this.#onWatched = onWatched;
    const inputNames = session.inputs.map(({ name }) => name);
    const others = session.outputs.map(({ name }) => name).filter((name) => !(name in fetched));
    this.#watched = onWatched === undefined ? [] : others;
    const outputs = [...Object.keys(fetched), ...this.#watched];
    this.#inputs = session.pointers(inputNames);
    this.#outputs = session.pointers(outputs);
    this.#inputPlaces = new Map(inputNames.map((name, place) => [name, place]));
    this.#outputPlaces = new Map(outputs.map((name, place) => [name, place]));
  }

  /** The input is what the array begins with, as much of it as the shape says. Throws where it is shorter. */
  feed(name: string, data: NativeData, shape: readonly number[]): void {
    const place = placeOf(this.#inputPlaces, name);
    this.#inputs.values[place] = this.#handle(name, data, shape);
  }

  /** The output is written there. */
  fetch(name: string, data: NativeData, shape: readonly number[]): void {
    const place = placeOf(this.#outputPlaces, name);
    this.#outputs.values[place] = this.#handle(name, data, shape);
  }

  /** What goes in by the first name comes out by the second, changed in place. */
  bindInPlace(
    [input, output]: readonly [string, string],
    data: NativeData,
    shape: readonly number[],
  ): void {
    const inputPlace = placeOf(this.#inputPlaces, input);
    const outputPlace = placeOf(this.#outputPlaces, output);
    const handle = this.#handle(input, data, shape);
    this.#inputs.values[inputPlace] = handle;
    this.#outputs.values[outputPlace] = handle;
  }

  /** Throws where something was not fed or fetched, neither now nor for an earlier run, and what ONNX Runtime throws. */
  async run(): Promise<void> {
    const { values } = this.#outputs;
    const firstMade = values.length - this.#watched.length;
    // An output without memory would be made by the run, and nobody would see or free it.
    refuseMissing(this.#inputs.values, this.#inputPlaces);
    refuseMissing(values.subarray(0, firstMade), this.#outputPlaces);
    values.fill(0n, firstMade);
    this.#isRunning = true;
    try {
      await this.#session.runNative(this.#inputs, this.#outputs);
    } finally {
      this.#isRunning = false;
    }
    if (this.#onWatched === undefined) return;
    const made = takeMade([...values.subarray(firstMade)]);
    const named = made.map((tensor, index) => [this.#watched[index] ?? "", tensor] as const);
    this.#onWatched(Object.fromEntries(named));
  }

  /** Gives up every tensor: nothing keeps the arrays any more, and all must be fed and fetched again. */
  clear(): void {
    this.#refuseRunning();
    for (const { tensor } of this.#bound.values()) tensor.release();
    this.#bound.clear();
    this.#inputs.values.fill(0n);
    this.#outputs.values.fill(0n);
  }

  #handle(name: string, data: NativeData, shape: readonly number[]): Handle {
    this.#refuseRunning();
    const before = this.#bound.get(name);
    if (before?.tensor.data === data && isSame(before.shape, shape)) return before.tensor.handle;
    const tensor = new NativeTensor({ data, shape, datatype: arrayDatatype(data) });
    if (before !== undefined) this.#release(before.tensor);
    this.#bound.set(name, { tensor, shape });
    return tensor.handle;
  }

  /** An output that shared it has nothing any more: a run would write where it was. */
  #release(tensor: NativeTensor): void {
    for (const { values } of [this.#inputs, this.#outputs]) forget(values, tensor.handle);
    tensor.release();
  }

  /** What a run reads and writes stays until its end: one that waits for its turn would use memory that was given back. */
  #refuseRunning(): void {
    if (this.#isRunning) throw new Error("a run is under way");
  }
}

function placeOf(places: ReadonlyMap<string, number>, name: string): number {
  const place = places.get(name);
  if (place === undefined)
    throw new Error(`the graph has no ${name}, or nobody said that it is fetched`);
  return place;
}

function forget(values: BigUint64Array, handle: Handle): void {
  for (let at = values.indexOf(handle); at !== -1; at = values.indexOf(handle)) values[at] = 0n;
}

function refuseMissing(values: BigUint64Array, places: ReadonlyMap<string, number>): void {
  const missing = values.indexOf(0n);
  if (missing === -1) return;
  const name = [...places.keys()][missing] ?? missing;
  throw new Error(`nothing was given for ${name}`);
}

function isSame(left: readonly number[], right: readonly number[]): boolean {
  if (left.length !== right.length) return false;
  for (let place = 0; place < left.length; place += 1) {
    if (left[place] !== right[place]) return false;
  }
  return true;
}
