/**
 * The tensors of a graph's runs, over arrays that live elsewhere. They stay from run to run, and one is made anew only where
 * its array or its shape is another than before.
 */
import {
  type MadeTensor,
  type NativeSession,
  NativeTensor,
  type TensorData,
} from "./native-session.js";

/** Sees those outputs that nobody fetched. */
export type OnWatched = (watched: Readonly<Record<string, MadeTensor>>) => void;

interface Bound {
  readonly tensor: NativeTensor;
  readonly shape: readonly number[];
}

export class Binding {
  readonly #session: NativeSession;
  readonly #bound = new Map<string, Bound>();
  readonly #feeds: Record<string, NativeTensor> = {};
  readonly #fetches: Record<string, NativeTensor | null> = {};

  constructor(session: NativeSession) {
    this.#session = session;
  }

  /** The input is what the array begins with, as much of it as the shape says. Throws where it is shorter. */
  feed(name: string, data: TensorData, shape: readonly number[]): void {
    this.#feeds[name] = this.#tensor(name, data, shape);
  }

  /** The output is written there. */
  fetch(name: string, data: TensorData, shape: readonly number[]): void {
    this.#fetches[name] = this.#tensor(name, data, shape);
  }

  /** What goes in by the first name comes out by the second, changed in place. */
  share(
    [input, output]: readonly [string, string],
    data: TensorData,
    shape: readonly number[],
  ): void {
    const tensor = this.#tensor(input, data, shape);
    this.#feeds[input] = tensor;
    this.#fetches[output] = tensor;
  }

  /** Throws what ONNX Runtime throws. */
  async run(onWatched?: OnWatched): Promise<void> {
    if (onWatched === undefined) {
      await this.#session.run(this.#feeds, this.#fetches);
      return;
    }
    const watched = [...this.#session.outputs.keys()].filter((name) => !(name in this.#fetches));
    const all = { ...Object.fromEntries(watched.map((name) => [name, null])), ...this.#fetches };
    onWatched(await this.#session.run(this.#feeds, all));
  }

  /** Gives up every tensor: nothing keeps the arrays any more. */
  clear(): void {
    for (const { tensor } of this.#bound.values()) tensor.release();
    this.#bound.clear();
    for (const name of Object.keys(this.#feeds)) delete this.#feeds[name];
    for (const name of Object.keys(this.#fetches)) delete this.#fetches[name];
  }

  #tensor(name: string, data: TensorData, shape: readonly number[]): NativeTensor {
    const before = this.#bound.get(name);
    if (before?.tensor.data === data && isSame(before.shape, shape)) return before.tensor;
    const tensor = new NativeTensor(data, shape);
    before?.tensor.release();
    this.#bound.set(name, { tensor, shape });
    return tensor;
  }
}

function isSame(left: readonly number[], right: readonly number[]): boolean {
  if (left.length !== right.length) return false;
  for (let place = 0; place < left.length; place += 1) {
    if (left[place] !== right[place]) return false;
  }
  return true;
}
