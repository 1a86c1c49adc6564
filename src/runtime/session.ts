/** The only file that loads ONNX Runtime's Node binding. A run blocks this thread; nothing here can be cancelled. */
// Before the runtime: it is read when that is loaded.
import "./no-telemetry.js";
import { InferenceSession, Tensor } from "onnxruntime-node";
import { elementsOf, isTensorType, tensorArrays } from "../work/payload.js";
import { type NamedTensor, tensorTypes, textsOf, textTensor } from "../work/tensors.js";
import { collectAfterReading } from "./collect-garbage.js";
import { checkOutputTypes } from "./output-types.js";
import { type SessionOptions, type SessionSettings, sessionSettings } from "./session-settings.js";

keepBitsOfHalves();

export type Session = InferenceSession;
export type Feeds = Readonly<Record<string, Tensor>>;
export type Fetches = InferenceSession.OnnxValueMapType;

/**
 * The library looks once, at its first tensor, for what holds half floats. Where the engine has a Float16Array (Node 24) it takes
 * that, of which its binding sees no bytes; without one it takes their bits, as we have them.
 */
function keepBitsOfHalves(): void {
  const name = "Float16Array";
  const own = Object.getOwnPropertyDescriptor(globalThis, name);
  if (own === undefined) return;
  Reflect.deleteProperty(globalThis, name);
  try {
    new Tensor("float16", new Uint16Array(1), [1]);
  } finally {
    Object.defineProperty(globalThis, name, own);
  }
}

export async function openSession(path: string, options: SessionOptions): Promise<Session> {
  const { session, readBytes } = await createSession(path, options);
  await collectAfterReading(readBytes);
  return session;
}

/** `readBytes` were read for it, and are garbage once this has returned. */
async function createSession(
  path: string,
  options: SessionOptions,
): Promise<{ readonly session: Session; readonly readBytes: number }> {
  const settings = await sessionSettings(path, options);
  const { externalData } = settings;
  const session = await InferenceSession.create(path, { ...createOptions(settings), externalData });
  return { session, readBytes: externalData.reduce((sum, { data }) => sum + data.byteLength, 0) };
}

/** Shapes of a graph's inputs, in its order. */
export type InputShapes = readonly (readonly number[])[];

/**
 * Writes the graph optimised for this processor, its weights beside it: plain, and in the layout that the kernels use.
 * A session of it packs each weight once more, to compare hashes, and then uses the mapped ones; where they differ,
 * its own.
 */
export async function writePacked(
  path: string,
  options: SessionOptions,
  target: {
    readonly graph: string;
    readonly weightsName: string;
    /** What the graph may take: the first that it does is run through both, which must come to the same. Null: not tried. */
    readonly probes: readonly InputShapes[] | null;
  },
): Promise<void> {
  const settings = await sessionSettings(path, options);
  const usual = createOptions(settings);
  const session = await InferenceSession.create(path, {
    ...usual,
    externalData: settings.externalData,
    optimizedModelFilePath: target.graph,
    extra: {
      session: {
        ...usual.extra.session,
        save_external_prepacked_constant_initializers: "1",
        optimized_model_external_initializers_file_name: target.weightsName,
        // Shapes must stand in the graph itself, or it cannot be read again.
        optimized_model_external_initializers_min_size_in_bytes: "1024",
      },
    },
  });
  try {
    if (target.probes !== null) await prove(session, target.graph, { options, ...target });
  } finally {
    await session.release();
  }
}

/** Some kernels (LSTM) end the process that runs them on mapped weights: better this one than a pipeline. */
async function prove(
  plain: Session,
  graph: string,
  of: { readonly options: SessionOptions; readonly probes: readonly InputShapes[] | null },
): Promise<void> {
  const packed = await openSession(graph, { ...of.options, packed: true });
  try {
    for (const shapes of of.probes ?? []) {
      const feeds = madeFeeds(plain, shapes);
      const wanted = await plain.run(feeds).catch(() => null);
      if (wanted === null) continue;
      const found = await packed.run(feeds);
      const differs = Object.keys(wanted).find(
        (name) => bytesText(found, name) !== bytesText(wanted, name),
      );
      if (differs === undefined) return;
      throw new Error(`with mapped weights its ${differs} is another`);
    }
    throw new Error("it takes nothing that could be made up to try it");
  } finally {
    await packed.release();
  }
}

function bytesText(fetches: Fetches, name: string): string {
  const data = fetches[name]?.data ?? [];
  if (Array.isArray(data)) return JSON.stringify(data);
  return Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("latin1");
}

/** Numbers from 0 to 1 that differ, integers of 0 and 1: every vocabulary has those. */
function madeFeeds({ inputMetadata }: Session, shapes: InputShapes): Feeds {
  const feeds = inputMetadata.map((input, place) => {
    const shape = shapes[place] ?? [];
    const noise = Array.from(
      { length: elementsOf(shape) },
      (_, at) => Math.imul(at + 1, 2_654_435_761) >>> 24,
    );
    const type = input.isTensor ? input.type : "";
    if (type === "string")
      return new Tensor(
        "string",
        noise.map((byte) => `${byte}`),
        shape,
      );
    if (!isTensorType(type)) throw new Error(`its input ${input.name} cannot be made up`);
    return new Tensor(type as "float32", dataOf(type, noise) as Float32Array, shape);
  });
  return Object.fromEntries(feeds.map((tensor, place) => [inputMetadata[place]?.name, tensor]));
}

function dataOf(type: keyof typeof tensorArrays, noise: readonly number[]): unknown {
  const Elements = tensorArrays[type];
  if (Elements === BigInt64Array || Elements === BigUint64Array)
    return Elements.from(noise.map((byte) => BigInt(byte & 1)));
  const of: Partial<Record<typeof type, (byte: number) => number>> = {
    float32: (byte) => byte / 256,
    float64: (byte) => byte / 256,
    // The bits of one half and a little more.
    float16: (byte) => 0x3800 + byte,
  };
  const valueOf = of[type] ?? ((byte: number) => byte & 1);
  return (Elements as typeof Float32Array).from(noise, valueOf);
}

function createOptions({ threads, optimize, config }: Omit<SessionSettings, "externalData">) {
  const prefix = "session.";
  const session = Object.entries(config).map(([key, value]) => [key.slice(prefix.length), value]);
  return {
    executionProviders: ["cpu"],
    intraOpNumThreads: threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: optimize ? "all" : "disabled",
    enableMemPattern: false,
    // What fails is thrown, and answered; printed as well, bad inputs would flood the log.
    logSeverityLevel: 4,
    extra: { session: Object.fromEntries(session) as Record<string, string> },
  } as const;
}

/** The tensor reads and writes `data` in place; keep it alive until the run has ended. */
export function f32(data: Float32Array, shape: readonly number[]): Tensor {
  return new Tensor("float32", data, shape);
}

export function i32(data: Int32Array, shape: readonly number[]): Tensor {
  return new Tensor("int32", data, shape);
}

export function i64(values: readonly number[]): Tensor {
  const data = BigInt64Array.from(values, (value) => BigInt(value));
  return new Tensor("int64", data, [values.length]);
}

export type OutputType = "float32" | "int32";

/** Throws where the graph does not have each of these outputs, of its type: found at load, not by the first caller. */
export function checkOutputs(
  { outputMetadata }: Session,
  graph: { readonly name: string; readonly wanted: Readonly<Record<string, OutputType>> },
): void {
  checkOutputTypes(graph.name, graph.wanted, (name) => {
    const found = outputMetadata.find((output) => output.name === name);
    return found?.isTensor === false ? "no tensor" : found?.type;
  });
}

/** Throws where the output has another type, or another number of elements. */
export function floatsOf(fetches: Fetches, name: string, elements?: number): Float32Array {
  const data = fetches[name]?.data;
  if (data instanceof Float32Array) return checkLength(data, name, elements);
  throw new Error(`the graph's output ${name} is not float32: the model folder is not Millrace's`);
}

export function intsOf(fetches: Fetches, name: string, elements?: number): Int32Array {
  const data = fetches[name]?.data;
  if (data instanceof Int32Array) return checkLength(data, name, elements);
  throw new Error(`the graph's output ${name} is not int32: the model folder is not Millrace's`);
}

function checkLength<Data extends { readonly length: number }>(
  data: Data,
  name: string,
  elements = data.length,
): Data {
  if (data.length === elements) return data;
  throw new Error(`the graph's output ${name} has ${data.length} elements, not ${elements}`);
}

/** Runs the graph for these outputs only, and gives them in this order. Throws where one is of another type. */
export async function runTensors(
  session: Session,
  inputs: readonly NamedTensor[],
  outputs: readonly Pick<NamedTensor, "name" | "datatype">[],
): Promise<NamedTensor[]> {
  const feeds = Object.fromEntries(inputs.map((tensor) => [tensor.name, fed(tensor)]));
  const fetches = await session.run(
    feeds,
    outputs.map(({ name }) => name),
  );
  return outputs.map((output) => fetched(output, fetches[output.name]));
}

function fed(tensor: NamedTensor): Tensor {
  const { datatype, shape, data } = tensor;
  if (datatype === "BYTES") return new Tensor("string", textsOf(tensor), shape);
  return new Tensor(tensorTypes[datatype] as "float32", data as Float32Array, shape);
}

function fetched(
  { name, datatype }: Pick<NamedTensor, "name" | "datatype">,
  value: Tensor | undefined,
): NamedTensor {
  const type = datatype === "BYTES" ? "string" : tensorTypes[datatype];
  if (value?.type !== type) {
    throw new Error(`the graph's output ${name} is ${value?.type ?? "not there"}, not ${type}`);
  }
  const { data, dims: shape } = value;
  if (Array.isArray(data)) return textTensor(data, { name, shape });
  // Halves come as their bits, or as numbers of an array type that later versions of Node have: the bytes are the same.
  const { buffer, byteOffset, byteLength } = data;
  const Elements = tensorArrays[tensorTypes[datatype]];
  const own = new Elements(
    buffer as ArrayBuffer,
    byteOffset,
    byteLength / Elements.BYTES_PER_ELEMENT,
  );
  return { name, datatype, shape, data: own };
}
