/**
 * A graph whose runs make what comes out: for those that are run some times a second, on inputs of other sizes each time. Where a run
 * is a matter of a millisecond, see native/binding.ts. A run blocks this thread; nothing here can be cancelled.
 */
import type { NamedTensor, TensorValue } from "../work/tensors.js";
import { NativeSession, type RunWatcher } from "./native/native-session.js";
import { fedTensor, takeMade } from "./native/native-tensor.js";
import { type SessionValue, typeName } from "./native/session-values.js";
import type { SessionOptions } from "./session-settings.js";

/** By name; an array is read in place, and must stay as it is until the run has ended. */
export type Feeds = Readonly<Record<string, TensorValue>>;
export type Fetches = Feeds;

export class Session {
  readonly #session: NativeSession;

  /** Throws what ONNX Runtime says. */
  static async open(
    path: string,
    options: SessionOptions,
    watcher: RunWatcher | null = null,
  ): Promise<Session> {
    return new Session(await NativeSession.open(path, options, watcher));
  }

  private constructor(session: NativeSession) {
    this.#session = session;
  }

  /** In the graph's order. */
  get inputs(): readonly SessionValue[] {
    return this.#session.inputs;
  }

  get outputs(): readonly SessionValue[] {
    return this.#session.outputs;
  }

  /** `wanted`: names of outputs; default: all. Throws what ONNX Runtime throws. */
  async run(
    feeds: Feeds,
    wanted: readonly string[] = this.outputs.map(({ name }) => name),
  ): Promise<Fetches> {
    const inputs = this.#session.pointers(Object.keys(feeds));
    const outputs = this.#session.pointers(wanted);
    const fed: ReturnType<typeof fedTensor>[] = [];
    try {
      for (const [place, value] of Object.values(feeds).entries()) {
        const tensor = fedTensor(value);
        fed.push(tensor);
        inputs.values[place] = tensor.handle;
      }
      await this.#session.runNative(inputs, outputs);
    } finally {
      for (const tensor of fed) tensor.release();
    }
    const made = takeMade([...outputs.values]);
    return Object.fromEntries(made.map((value, place) => [wanted[place], value]));
  }

  /** A second call does nothing. */
  release(): void {
    this.#session.release();
  }
}

export function f32(data: Float32Array, shape: readonly number[]): TensorValue {
  return { datatype: "FP32", shape, data };
}

export function i32(data: Int32Array, shape: readonly number[]): TensorValue {
  return { datatype: "INT32", shape, data };
}

export function i64(
  values: readonly number[],
  shape: readonly number[] = [values.length],
): TensorValue {
  const data = BigInt64Array.from(values, (value) => BigInt(value));
  return { datatype: "INT64", shape, data };
}

/** Throws where the output has another type, or another number of elements. */
export function floatsOf(fetches: Fetches, name: string, elements?: number): Float32Array {
  const data = fetches[name]?.data;
  if (!(data instanceof Float32Array))
    throw new Error(
      `the graph's output ${name} is not float32: the model folder is not Millrace's`,
    );
  if (data.length === (elements ?? data.length)) return data;
  throw new Error(`the graph's output ${name} has ${data.length} elements, not ${elements}`);
}

/** Runs the graph for these outputs only, and gives them in this order. Throws where one is of another type. */
export async function runTensors(
  session: Session,
  inputs: readonly NamedTensor[],
  outputs: readonly Pick<NamedTensor, "name" | "datatype">[],
): Promise<NamedTensor[]> {
  const fetches = await session.run(
    Object.fromEntries(inputs.map((tensor) => [tensor.name, tensor])),
    outputs.map(({ name }) => name),
  );
  return outputs.map(({ name, datatype }) => {
    const value = fetches[name];
    if (value?.datatype === datatype) return { name, ...value };
    const found = value === undefined ? "not there" : typeName(value);
    throw new Error(`the graph's output ${name} is ${found}, not ${typeName({ datatype })}`);
  });
}
