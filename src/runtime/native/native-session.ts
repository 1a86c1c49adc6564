/**
 * READ FIRST of this folder. A graph that runs on memory which stays where it is: what goes in is read in place, and what
 * comes out is written where the caller wants it, with no copy and no new array. See ort-api.ts for why.
 *
 * A run blocks this thread and cannot be cancelled; before it, whatever waits for this thread has its turn.
 */
import {
  collectRead,
  plainSettings,
  type SessionOptions,
  type SessionSettings,
  sessionSettings,
} from "../session-settings.js";
import {
  addressOf,
  bytesAt,
  check,
  type Handle,
  made,
  type OrtApi,
  ortApi,
  textAt,
} from "./ort-api.js";

export type NativeData = Float32Array | Int32Array | BigInt64Array;

/** ONNX's numbers of element types. */
const elementTypes = { float32: 1, int32: 6, int64: 7 } as const;
export type NativeType = keyof typeof elementTypes;

const arrays = { float32: Float32Array, int32: Int32Array, int64: BigInt64Array } as const;

/** Array and shape as the runtime sees them. `data` may be changed at any time, and must not be moved or given up. */
export class NativeTensor {
  readonly data: NativeData;
  readonly handle: Handle;

  /** Throws where the array is shorter than the shape says. */
  constructor(data: NativeData, shape: readonly number[]) {
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

function typeNumberOf(data: NativeData): number {
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

/** Addresses of names and of values, place by place, as the runtime reads them; a value of 0 is made by the run. */
export class Pointers {
  readonly names: BigUint64Array;
  readonly values: BigUint64Array;
  readonly length: number;

  constructor(names: readonly Handle[]) {
    this.names = BigUint64Array.from(names);
    this.values = new BigUint64Array(names.length);
    this.length = names.length;
  }
}

/** What a run made by itself, where the caller gave no memory. */
export interface MadeTensor {
  readonly data: NativeData;
  readonly dims: readonly number[];
}

export class NativeSession {
  /** Names of the inputs, in the graph's order. */
  readonly inputs: readonly string[];
  /** Types of the outputs by name; undefined where one is none of `NativeType`. */
  readonly outputs: ReadonlyMap<string, NativeType | undefined>;
  readonly #session: Handle;
  readonly #nameAddresses: ReadonlyMap<string, Handle>;
  /** Keeps the names where their addresses are. */
  readonly #nameBytes: readonly Uint8Array[];
  #isReleased = false;

  /** Throws what ONNX Runtime says. */
  static async open(path: string, asked: SessionOptions): Promise<NativeSession> {
    const settings = await sessionSettings(path, asked);
    const session = NativeSession.#make(settings, (options, out) =>
      ortApi().CreateSession(environment().env, path, options, out),
    );
    collectRead(settings.externalData);
    return session;
  }

  /** Of a graph in memory that refers to no files. Throws what ONNX Runtime says. */
  static of(graph: Uint8Array, asked: SessionOptions): NativeSession {
    const settings = { ...plainSettings(asked), externalData: [] };
    return NativeSession.#make(settings, (options, out) =>
      ortApi().CreateSessionFromArray(environment().env, graph, graph.length, options, out),
    );
  }

  static #make(
    settings: SessionSettings,
    create: (options: Handle, out: [Handle | null]) => Handle | null,
  ): NativeSession {
    const api = ortApi();
    const options = made((out: [Handle | null]) => api.CreateSessionOptions(out));
    try {
      // What they point at is read when the session is made.
      const kept = applySettings(api, options, settings);
      const session = made((out: [Handle | null]) => create(options, out));
      kept.length = 0;
      return new NativeSession(session);
    } finally {
      api.ReleaseSessionOptions(options);
    }
  }

  private constructor(session: Handle) {
    this.#session = session;
    this.inputs = namesOf(session, "Input");
    const outputNames = namesOf(session, "Output");
    this.outputs = new Map(outputNames.map((name, index) => [name, outputTypeOf(session, index)]));
    const names = [...new Set([...this.inputs, ...outputNames])];
    this.#nameBytes = names.map(textBytes);
    this.#nameAddresses = new Map(
      names.map((name, index) => [name, addressOf(this.#nameBytes[index] ?? new Uint8Array())]),
    );
  }

  /** Of the output of this name; undefined where there is none. */
  typeOf(name: string): string | undefined {
    return this.outputs.has(name) ? (this.outputs.get(name) ?? "another type") : undefined;
  }

  /** For these inputs or outputs, in this order. Throws where the graph has one of them not. */
  pointers(names: readonly string[]): Pointers {
    const addresses = names.map((name) => {
      const address = this.#nameAddresses.get(name);
      if (address === undefined) throw new Error(`the graph has no ${name}`);
      return address;
    });
    return new Pointers(addresses);
  }

  /**
   * Writes the outputs; where one has no value yet, the run makes it, and whoever called takes it with `takeMade`. Throws what
   * ONNX Runtime throws, also where a tensor has another shape than the graph makes.
   */
  async run(inputs: Pointers, outputs: Pointers): Promise<void> {
    await turn();
    if (this.#isReleased) throw new Error("the session was released");
    check(
      ortApi().Run(
        this.#session,
        null,
        inputs.names,
        inputs.values,
        inputs.length,
        outputs.names,
        outputs.length,
        outputs.values,
      ),
    );
  }

  /** Path of the file, as Chrome's tracing reads it, of a session that was opened with `profilePrefix`. */
  endProfiling(): string {
    const api = ortApi();
    const { allocator } = environment();
    const address = made((out: [Handle | null]) =>
      api.SessionEndProfiling(this.#session, allocator, out),
    );
    const path = textAt(address);
    check(api.AllocatorFree(allocator, address));
    return path;
  }

  /** A second call does nothing. */
  release(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
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
  const { threads, optimize, profilePrefix, config, externalData } = settings;
  if (profilePrefix !== null) check(api.EnableProfiling(options, profilePrefix));
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
export function takeMade(value: Handle): MadeTensor {
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
    // An empty one is nowhere.
    if (length === 0) return { data: new Elements(0), dims: shape };
    const address = made((out: [Handle | null]) => api.GetTensorMutableData(value, out));
    const bytes = bytesAt(address, length * Elements.BYTES_PER_ELEMENT);
    return { data: new Elements(bytes), dims: shape };
  } finally {
    api.ReleaseValue(value);
  }
}
