/**
 * READ FIRST of this folder. A graph that runs on memory which stays where it is: what goes in is read in place, and what
 * comes out is written where the caller wants it, with no copy and no new array. See ort-api.ts for why.
 *
 * A run blocks this thread and cannot be cancelled; before it, whatever waits for this thread has its turn.
 */
import { collect, type SessionOptions, type SessionSettings, sessionSettings } from "../session-settings.js";
import { addressOf, bytesAt, check, type Handle, made, type OrtApi, ortApi, textAt } from "./ort-api.js";

export type TensorData = Float32Array | Int32Array | BigInt64Array;

/** ONNX's numbers of element types. */
const elementTypes = { float32: 1, int32: 6, int64: 7 } as const;
export type NativeType = keyof typeof elementTypes;

const arrays = { float32: Float32Array, int32: Int32Array, int64: BigInt64Array } as const;

/** Array and shape as the runtime sees them. `data` may be changed at any time, and must not be moved or given up. */
export class NativeTensor {
  readonly data: TensorData;
  readonly handle: Handle;

  /** Throws where the array is shorter than the shape says. */
  constructor(data: TensorData, shape: readonly number[]) {
    this.data = data;
    const dims = shapeScratch(shape);
    this.handle = made((out: [Handle | null]) =>
      ortApi().CreateTensorWithDataAsOrtValue(
        environment().memory,
        data,
        data.byteLength,
        dims,
        shape.length,
        typeNumberOf(data),
        out,
      ),
    );
  }

  /** Gives back what the runtime keeps of it; the array is its owner's. */
  release(): void {
    ortApi().ReleaseValue(this.handle);
  }
}

function typeNumberOf(data: TensorData): number {
  if (data instanceof Float32Array) return elementTypes.float32;
  return data instanceof Int32Array ? elementTypes.int32 : elementTypes.int64;
}

const rankMax = 8;
/** Low and high halves of 64-bit numbers: every machine that ONNX Runtime runs on has the low one first. */
const shapeHalves = new Int32Array(new ArrayBuffer(2 * 4 * rankMax));

function shapeScratch(shape: readonly number[]): Int32Array {
  if (shape.length > rankMax) throw new Error(`a tensor of ${shape.length} dimensions`);
  for (const [place, size] of shape.entries()) shapeHalves[2 * place] = size;
  return shapeHalves;
}

interface Environment {
  readonly env: Handle;
  readonly memory: Handle;
  readonly allocator: Handle;
}

let opened: Environment | undefined;

function environment(): Environment {
  if (opened !== undefined) return opened;
  const api = ortApi();
  opened = {
    // 4: fatal only. What fails is thrown, and answered; printed as well, bad inputs would flood the log.
    env: made((out: [Handle | null]) => api.CreateEnv(4, "millrace", out)),
    memory: made((out: [Handle | null]) => api.CreateCpuMemoryInfo(1, 0, out)),
    allocator: made((out: [Handle | null]) => api.GetAllocatorWithDefaultOptions(out)),
  };
  return opened;
}

export type NativeTensors = Readonly<Record<string, NativeTensor>>;

/** What a run made by itself, where the caller gave no memory. */
export interface MadeTensor {
  readonly data: TensorData;
  readonly dims: readonly number[];
}

export class NativeSession {
  /** Types of the outputs by name; undefined where one is none of `NativeType`. */
  readonly outputs: ReadonlyMap<string, NativeType | undefined>;
  readonly #session: Handle;
  readonly #inputNames: readonly string[];
  readonly #nameAddresses: ReadonlyMap<string, Handle>;
  /** Keeps the names where their addresses are. */
  readonly #nameBytes: readonly Uint8Array[];

  /** Throws what ONNX Runtime says. */
  static async open(path: string, asked: SessionOptions): Promise<NativeSession> {
    const settings = await sessionSettings(path, asked);
    const api = ortApi();
    const options = made((out: [Handle | null]) => api.CreateSessionOptions(out));
    try {
      // What they point at is read when the session is made.
      const kept = applySettings(api, options, settings);
      const session = made((out: [Handle | null]) =>
        api.CreateSession(environment().env, path, options, out),
      );
      kept.length = 0;
      collect(settings.externalData);
      return new NativeSession(session);
    } finally {
      api.ReleaseSessionOptions(options);
    }
  }

  private constructor(session: Handle) {
    this.#session = session;
    this.#inputNames = namesOf(session, "Input");
    const outputNames = namesOf(session, "Output");
    this.outputs = new Map(outputNames.map((name, index) => [name, outputTypeOf(session, index)]));
    const names = [...new Set([...this.#inputNames, ...outputNames])];
    this.#nameBytes = names.map(textBytes);
    this.#nameAddresses = new Map(
      names.map((name, index) => [name, addressOf(this.#nameBytes[index] ?? new Uint8Array())]),
    );
  }

  /**
   * `feeds` are all inputs of the graph. Writes the outputs that `fetches` names; where the tensor is null, what the run made is
   * copied and returned. Throws what ONNX Runtime throws, also where a tensor has another shape than the graph makes.
   */
  async run(
    feeds: NativeTensors,
    fetches: Readonly<Record<string, NativeTensor | null>>,
  ): Promise<Record<string, MadeTensor>> {
    await turn();
    const inputs = this.#pointers(this.#inputNames, (name) => feeds[name]?.handle);
    const wanted = Object.keys(fetches);
    const outputs = this.#pointers(wanted, (name) => fetches[name]?.handle ?? 0n);
    check(
      ortApi().Run(
        this.#session,
        null,
        inputs.names,
        inputs.values,
        inputs.values.length,
        outputs.names,
        wanted.length,
        outputs.values,
      ),
    );
    const results: Record<string, MadeTensor> = {};
    for (const [place, name] of wanted.entries()) {
      if (fetches[name] === null) results[name] = taken(outputs.values[place] ?? 0n);
    }
    return results;
  }

  #pointers(
    wanted: readonly string[],
    valueOf: (name: string) => Handle | undefined,
  ): { readonly names: BigUint64Array; readonly values: BigUint64Array } {
    const names = new BigUint64Array(wanted.length);
    const values = new BigUint64Array(wanted.length);
    for (const [place, name] of wanted.entries()) {
      const value = valueOf(name);
      const address = this.#nameAddresses.get(name);
      if (value === undefined || address === undefined) throw new Error(`the graph has no ${name}`);
      names[place] = address;
      values[place] = value;
    }
    return { names, values };
  }

  release(): void {
    ortApi().ReleaseSession(this.#session);
  }
}

/** Frames are read between runs, and signals heard. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

/** Returns what must live until the session is made. */
function applySettings(api: OrtApi, options: Handle, settings: SessionSettings): unknown[] {
  const { threads, optimize, config, externalData } = settings;
  check(api.SetIntraOpNumThreads(options, threads));
  check(api.SetInterOpNumThreads(options, 1));
  // ORT_DISABLE_ALL and ORT_ENABLE_ALL.
  check(api.SetSessionGraphOptimizationLevel(options, optimize ? 99 : 0));
  check(api.DisableMemPattern(options));
  check(api.SetSessionLogSeverityLevel(options, 4));
  for (const [key, value] of Object.entries(config)) {
    check(api.AddSessionConfigEntry(options, key, value));
  }
  if (externalData.length === 0) return [];
  const names = externalData.map(({ path }) => textBytes(path));
  const files = externalData.map(({ data }) => data);
  const lengths = BigUint64Array.from(files, ({ byteLength }) => BigInt(byteLength));
  check(
    api.AddExternalInitializersFromFilesInMemory(
      options,
      BigUint64Array.from(names, addressOf),
      BigUint64Array.from(files, addressOf),
      lengths,
      files.length,
    ),
  );
  return [names, files];
}

/** UTF-8 with an end, in memory that stays where it is. */
function textBytes(text: string): Uint8Array {
  const bytes = Buffer.from(text, "utf8");
  const whole = new Uint8Array(new ArrayBuffer(bytes.length + 1));
  whole.set(bytes);
  return whole;
}

function namesOf(session: Handle, kind: "Input" | "Output"): string[] {
  const api = ortApi();
  const count = made((out: [number | null]) => api[`SessionGet${kind}Count`](session, out));
  const { allocator } = environment();
  return Array.from({ length: Number(count) }, (_, index) => {
    const address = made((out: [Handle | null]) =>
      api[`SessionGet${kind}Name`](session, index, allocator, out),
    );
    const name = textAt(address);
    check(api.AllocatorFree(allocator, address));
    return name;
  });
}

function outputTypeOf(session: Handle, index: number): NativeType | undefined {
  const api = ortApi();
  const info = made((out: [Handle | null]) => api.SessionGetOutputTypeInfo(session, index, out));
  const tensor: [Handle | null] = [null];
  check(api.CastTypeInfoToTensorInfo(info, tensor));
  const type = tensor[0] === null ? undefined : elementTypeOf(tensor[0]);
  api.ReleaseTypeInfo(info);
  return type;
}

function elementTypeOf(info: Handle): NativeType | undefined {
  const number = made((out: [number | null]) => ortApi().GetTensorElementType(info, out));
  const entry = Object.entries(elementTypes).find(([, value]) => value === number);
  return entry?.[0] as NativeType | undefined;
}

/** A copy of what a run made; the original is given back. */
function taken(value: Handle): MadeTensor {
  const api = ortApi();
  try {
    const info = made((out: [Handle | null]) => api.GetTensorTypeAndShape(value, out));
    const type = elementTypeOf(info);
    const rank = Number(made((out: [number | null]) => api.GetDimensionsCount(info, out)));
    const dims = new BigInt64Array(Math.max(1, rank));
    check(api.GetDimensions(info, dims, rank));
    api.ReleaseTensorTypeAndShapeInfo(info);
    if (type === undefined) throw new Error("an output has a type that nobody reads");
    const shape = [...dims.subarray(0, rank)].map(Number);
    const Elements = arrays[type];
    const length = shape.reduce((product, size) => product * size, 1);
    const address = made((out: [Handle | null]) => api.GetTensorMutableData(value, out));
    const bytes = length * Elements.BYTES_PER_ELEMENT;
    return { data: new Elements(length === 0 ? new ArrayBuffer(0) : bytesAt(address, bytes)), dims: shape };
  } finally {
    api.ReleaseValue(value);
  }
}
