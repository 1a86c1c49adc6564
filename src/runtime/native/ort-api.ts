/**
 * ONNX Runtime's C interface, of the library that comes with onnxruntime-node, called without its Node binding. That binding
 * makes new arrays for each run and copies every output into them, also where a caller gave the memory: a step that
 * writes into a cache would copy the whole cache, and collecting those arrays took a third of the processor. Nor can it have a
 * single run written down, which a profile of operators needs.
 *
 * The interface is a table of functions that only ever grows at its end (onnxruntime_c_api.h); `place` is where each
 * function stands in it. Handles and addresses are bigints. Functions that return a status return null where all is well.
 */
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
// Before the runtime: it is read when that is loaded.
import "../no-telemetry.js";
import koffi from "koffi";
import { platform } from "../../platform/platform.js";

export type Handle = bigint;
export type Status = Handle | null;
/** Where a function writes a handle, a number or a text. */
export type Out<T> = [T | null];

export interface OrtApi {
  CreateEnv(level: number, name: string, out: Out<Handle>): Status;
  CreateSession(env: Handle, path: string, options: Handle, out: Out<Handle>): Status;
  CreateSessionFromArray(
    env: Handle,
    graph: Uint8Array,
    byteLength: number,
    options: Handle,
    out: Out<Handle>,
  ): Status;
  ReleaseSession(session: Handle): void;
  Run(
    session: Handle,
    options: Handle | null,
    inputNames: BigUint64Array,
    inputs: BigUint64Array,
    inputCount: number,
    outputNames: BigUint64Array,
    outputCount: number,
    outputs: BigUint64Array,
  ): Status;
  CreateRunOptions(out: Out<Handle>): Status;
  ReleaseRunOptions(options: Handle): void;
  RunOptionsEnableProfiling(options: Handle, prefix: string): Status;
  CreateSessionOptions(out: Out<Handle>): Status;
  ReleaseSessionOptions(options: Handle): void;
  SetOptimizedModelFilePath(options: Handle, path: string): Status;
  EnableProfiling(options: Handle, prefix: string): Status;
  DisableMemPattern(options: Handle): Status;
  SetSessionLogSeverityLevel(options: Handle, level: number): Status;
  SetSessionGraphOptimizationLevel(options: Handle, level: number): Status;
  SetIntraOpNumThreads(options: Handle, threads: number): Status;
  SetInterOpNumThreads(options: Handle, threads: number): Status;
  AddSessionConfigEntry(options: Handle, key: string, value: string): Status;
  AddExternalInitializersFromFilesInMemory(
    options: Handle,
    names: BigUint64Array,
    files: BigUint64Array,
    byteLengths: BigUint64Array,
    count: number,
  ): Status;
  SessionGetInputCount(session: Handle, out: Out<number>): Status;
  SessionGetOutputCount(session: Handle, out: Out<number>): Status;
  SessionGetInputName(session: Handle, index: number, allocator: Handle, out: Out<Handle>): Status;
  SessionGetOutputName(session: Handle, index: number, allocator: Handle, out: Out<Handle>): Status;
  SessionGetInputTypeInfo(session: Handle, index: number, out: Out<Handle>): Status;
  SessionGetOutputTypeInfo(session: Handle, index: number, out: Out<Handle>): Status;
  SessionEndProfiling(session: Handle, allocator: Handle, out: Out<Handle>): Status;
  CastTypeInfoToTensorInfo(info: Handle, out: Out<Handle>): Status;
  ReleaseTypeInfo(info: Handle): void;
  CreateCpuMemoryInfo(allocator: number, kind: number, out: Out<Handle>): Status;
  CreateTensorAsOrtValue(
    allocator: Handle,
    shape: ArrayBufferView,
    rank: number,
    type: number,
    out: Out<Handle>,
  ): Status;
  CreateTensorWithDataAsOrtValue(
    memory: Handle,
    data: ArrayBufferView,
    byteLength: number,
    shape: ArrayBufferView,
    rank: number,
    type: number,
    out: Out<Handle>,
  ): Status;
  ReleaseValue(value: Handle): void;
  GetTensorMutableData(value: Handle, out: Out<Handle>): Status;
  FillStringTensor(value: Handle, texts: BigUint64Array, count: number): Status;
  GetStringTensorDataLength(value: Handle, out: Out<number>): Status;
  GetStringTensorContent(
    value: Handle,
    into: Uint8Array,
    length: number,
    offsets: BigUint64Array,
    count: number,
  ): Status;
  GetResizedStringTensorElementBuffer(
    value: Handle,
    index: number,
    byteLength: number,
    out: Out<Handle>,
  ): Status;
  GetTensorTypeAndShape(value: Handle, out: Out<Handle>): Status;
  ReleaseTensorTypeAndShapeInfo(info: Handle): void;
  GetTensorElementType(info: Handle, out: Out<number>): Status;
  GetDimensionsCount(info: Handle, out: Out<number>): Status;
  GetDimensions(info: Handle, into: BigInt64Array, count: number): Status;
  GetSymbolicDimensions(info: Handle, into: BigUint64Array, count: number): Status;
  GetAllocatorWithDefaultOptions(out: Out<Handle>): Status;
  AllocatorFree(allocator: Handle, memory: Handle): Status;
  GetErrorMessage(status: Handle): string;
  ReleaseStatus(status: Handle): void;
}

/** Path of a file, as the system's calls take it. */
const path = platform.hasWidePaths ? "str16" : "str";

const functions: Readonly<Record<keyof OrtApi, readonly [place: number, signature: string]>> = {
  GetErrorMessage: [2, "str (void *status)"],
  CreateEnv: [3, "void * (int level, str name, _Out_ void **out)"],
  CreateSession: [7, `void * (void *env, ${path} path, void *options, _Out_ void **out)`],
  CreateSessionFromArray: [
    8,
    "void * (void *env, void *graph, size_t byteLength, void *options, _Out_ void **out)",
  ],
  Run: [
    9,
    "void * (void *session, void *options, void *inputNames, void *inputs, size_t inputCount, void *outputNames, size_t outputCount, void *outputs)",
  ],
  CreateSessionOptions: [10, "void * (_Out_ void **out)"],
  SetOptimizedModelFilePath: [11, `void * (void *options, ${path} file)`],
  EnableProfiling: [14, `void * (void *options, ${path} prefix)`],
  DisableMemPattern: [17, "void * (void *options)"],
  SetSessionLogSeverityLevel: [22, "void * (void *options, int level)"],
  SetSessionGraphOptimizationLevel: [23, "void * (void *options, int level)"],
  SetIntraOpNumThreads: [24, "void * (void *options, int threads)"],
  SetInterOpNumThreads: [25, "void * (void *options, int threads)"],
  SessionGetInputCount: [30, "void * (void *session, _Out_ size_t *out)"],
  SessionGetOutputCount: [31, "void * (void *session, _Out_ size_t *out)"],
  SessionGetInputTypeInfo: [33, "void * (void *session, size_t index, _Out_ void **out)"],
  SessionGetOutputTypeInfo: [34, "void * (void *session, size_t index, _Out_ void **out)"],
  SessionGetInputName: [
    36,
    "void * (void *session, size_t index, void *allocator, _Out_ void **out)",
  ],
  SessionGetOutputName: [
    37,
    "void * (void *session, size_t index, void *allocator, _Out_ void **out)",
  ],
  CreateRunOptions: [39, "void * (_Out_ void **out)"],
  CreateTensorAsOrtValue: [
    48,
    "void * (void *allocator, void *shape, size_t rank, int type, _Out_ void **out)",
  ],
  CreateTensorWithDataAsOrtValue: [
    49,
    "void * (void *memory, void *data, size_t byteLength, void *shape, size_t rank, int type, _Out_ void **out)",
  ],
  GetTensorMutableData: [51, "void * (void *value, _Out_ void **out)"],
  FillStringTensor: [52, "void * (void *value, void *texts, size_t count)"],
  GetStringTensorDataLength: [53, "void * (void *value, _Out_ size_t *out)"],
  GetStringTensorContent: [
    54,
    "void * (void *value, void *into, size_t length, void *offsets, size_t count)",
  ],
  CastTypeInfoToTensorInfo: [55, "void * (void *info, _Out_ void **out)"],
  GetTensorElementType: [60, "void * (void *info, _Out_ int *out)"],
  GetDimensionsCount: [61, "void * (void *info, _Out_ size_t *out)"],
  GetDimensions: [62, "void * (void *info, void *into, size_t count)"],
  GetSymbolicDimensions: [63, "void * (void *info, void *into, size_t count)"],
  GetTensorTypeAndShape: [65, "void * (void *value, _Out_ void **out)"],
  CreateCpuMemoryInfo: [69, "void * (int allocator, int kind, _Out_ void **out)"],
  AllocatorFree: [76, "void * (void *allocator, void *memory)"],
  GetAllocatorWithDefaultOptions: [78, "void * (_Out_ void **out)"],
  ReleaseStatus: [93, "void (void *status)"],
  ReleaseSession: [95, "void (void *session)"],
  ReleaseValue: [96, "void (void *value)"],
  ReleaseRunOptions: [97, "void (void *options)"],
  ReleaseTypeInfo: [98, "void (void *info)"],
  ReleaseTensorTypeAndShapeInfo: [99, "void (void *info)"],
  ReleaseSessionOptions: [100, "void (void *options)"],
  SessionEndProfiling: [110, "void * (void *session, void *allocator, _Out_ void **out)"],
  AddSessionConfigEntry: [130, "void * (void *options, str key, str value)"],
  GetResizedStringTensorElementBuffer: [
    252,
    "void * (void *value, size_t index, size_t byteLength, _Out_ void **out)",
  ],
  AddExternalInitializersFromFilesInMemory: [
    279,
    "void * (void *options, void *names, void *files, void *byteLengths, size_t count)",
  ],
  RunOptionsEnableProfiling: [415, `void * (void *options, ${path} prefix)`],
};

/** The first version whose table has all of them. */
const apiVersion = 25;

interface Loaded {
  readonly api: OrtApi;
  readonly version: string;
  /** koffi unloads it, and all functions with it, once nobody has it any more. */
  readonly library: unknown;
}

let loaded: Loaded | undefined;

/** Throws where the library of this platform is not there, or older than what is asked of it. */
export function ortApi(): OrtApi {
  loaded ??= loadApi();
  return loaded.api;
}

/** Of ONNX Runtime: its layout of packed weights is its own affair. Throws as `ortApi` does. */
export function runtimeVersion(): string {
  loaded ??= loadApi();
  return loaded.version;
}

function loadApi(): Loaded {
  const library = koffi.load(libraryPath());
  const base: Handle = library.func("void *OrtGetApiBase()")() as Handle;
  const [getApi, getVersion] = koffi.decode(base, koffi.array("void *", 2)) as [Handle, Handle];
  const table = koffi.call(
    getApi,
    koffi.proto("void * (uint32_t version)"),
    apiVersion,
  ) as Handle | null;
  if (table === null) throw new Error(`this ONNX Runtime has no interface ${apiVersion}`);
  const length = 1 + Math.max(...Object.values(functions).map(([place]) => place));
  const addresses = koffi.decode(table, koffi.array("void *", length)) as Handle[];
  const bound = Object.entries(functions).map(([name, [place, signature]]) => [
    name,
    koffi.decode(addresses[place], koffi.proto(signature)) as unknown,
  ]);
  const version = koffi.call(getVersion, koffi.proto("str ()")) as string;
  return { api: Object.fromEntries(bound) as OrtApi, version, library };
}

/** Beside onnxruntime-node's own binding, which loads the same file: one process has it once. */
function libraryPath(): string {
  const entry = createRequire(import.meta.url).resolve("onnxruntime-node");
  const bin = join(dirname(entry), "..", "bin");
  const [napi = ""] = readdirSync(bin).filter((name) => name.startsWith("napi-"));
  const dir = join(bin, napi, platform.name, process.arch);
  const found = readdirSync(dir).find((name) =>
    /^(lib)?onnxruntime\.(so\.\d+|([\d.]+\.)?dylib|dll)$/.test(name),
  );
  if (found === undefined) throw new Error(`${dir} has no ONNX Runtime`);
  return join(dir, found);
}

/** Throws what the status says. */
export function check(status: Status): void {
  if (status === null) return;
  const api = ortApi();
  const message = api.GetErrorMessage(status);
  api.ReleaseStatus(status);
  throw new Error(message);
}

/** What `call` writes. Throws what its status says. */
export function outOf<T>(call: (out: Out<T>) => Status): T {
  const out: Out<T> = [null];
  check(call(out));
  const [value] = out;
  if (value === null) throw new Error("ONNX Runtime gave nothing");
  return value;
}

export function addressOf(view: ArrayBufferView): Handle {
  return koffi.address(view);
}

/** UTF-8 with an end, in memory that stays where it is. */
export function textBytes(text: string): Uint8Array {
  const bytes = Buffer.from(text, "utf8");
  const whole = new Uint8Array(new ArrayBuffer(bytes.length + 1));
  whole.set(bytes);
  return whole;
}

/** The text at an address, up to its end. */
export function textAt(address: Handle): string {
  return koffi.decode(address, "char", -1) as string;
}

/** The bytes at an address, as they are now. */
export function bytesAt(address: Handle, length: number): ArrayBuffer {
  return koffi.view(address, length).slice(0);
}

/** The bytes at an address, in place: for as long as they are there. */
export function viewAt(address: Handle, length: number): Uint8Array {
  return new Uint8Array(koffi.view(address, length));
}
