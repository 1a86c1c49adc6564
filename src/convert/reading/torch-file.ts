/**
 * A pytorch_model.bin, read without PyTorch and without running anything of it (pickle.ts, torch-objects.ts): the pickle
 * lists tensors, each a view of a storage, and each storage is an entry of the zip (torch-archive.ts).
 *
 *   data.pkl                    "w" → storage 0, offset 4, shape [2, 3], strides [1, 2]
 *   data/0   ┌───────────────────────────┐
 *            │ . . . . w w w w w w . . . │      any view: transposed, shared, in the middle
 *            └───────────────────────────┘
 */
import { crc32 } from "node:zlib";
import { MillraceError } from "millrace-client/wire";
import { isFloatType, notFloats } from "./floats.js";
import { describeValue, isKind, type PickleValue, readPickle } from "./pickle.js";
import { RandomAccessFile } from "./random-access-file.js";
import type { TensorFile, TensorInfo } from "./tensor-file.js";
import { type ArchiveEntry, checkSum, openArchive, readEntry } from "./torch-archive.js";
import { TorchTensor, torchWorld } from "./torch-objects.js";

interface TorchEntry extends TensorInfo {
  readonly tensor: TorchTensor;
  readonly entry: ArchiveEntry;
  /** From the first to the last element that it looks at, in elements of its storage. */
  readonly span: { readonly from: number; readonly to: number };
}

export class TorchFile implements TensorFile {
  readonly file: RandomAccessFile;
  /** In the order of the pickle. */
  readonly tensors: ReadonlyMap<string, TorchEntry>;
  readonly #bigEndian: boolean;

  private constructor(
    file: RandomAccessFile,
    found: { readonly tensors: ReadonlyMap<string, TorchEntry>; readonly bigEndian: boolean },
  ) {
    this.file = file;
    this.tensors = found.tensors;
    this.#bigEndian = found.bigEndian;
  }

  /** Throws `weights_invalid` where the file is damaged or hostile, `model_folder_invalid` where it cannot be read. */
  static async open(path: string): Promise<TorchFile> {
    const file = await RandomAccessFile.open(path);
    try {
      return new TorchFile(file, await readTensors(file));
    } catch (error) {
      await file[Symbol.asyncDispose]();
      if (!(error instanceof MillraceError)) throw error;
      throw new MillraceError(error.code, `${path}: ${error.message}`, { cause: error });
    }
  }

  /** The values in row-major order, whatever the strides. */
  async read(name: string): Promise<Float32Array> {
    const found = this.tensors.get(name);
    if (found === undefined) {
      throw new MillraceError("tensor_missing", `tensor ${name} is not in ${this.file.path}`);
    }
    const { tensor, entry, span, dtype: type } = found;
    if (!isFloatType(type)) throw notFloats(name, type);
    const { elementBytes } = tensor.storage;
    const byteLength = (span.to - span.from) * elementBytes;
    let sum = 0;
    const values = await this.file.readFloats({
      type,
      byteOffset: entry.byteOffset + span.from * elementBytes,
      byteLength,
      label: `tensor ${name}`,
      bigEndian: this.#bigEndian,
      onBytes: (bytes) => {
        sum = crc32(bytes, sum);
      },
    });
    // The zip has a checksum of the whole storage only; most tensors are the whole of theirs.
    if (byteLength === entry.byteLength) this.#checkSum(name, entry, sum);
    return isContiguous(tensor) ? values : gather(tensor, values);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file[Symbol.asyncDispose]();
  }

  #checkSum(name: string, entry: ArchiveEntry, sum: number): void {
    try {
      checkSum(entry, sum);
    } catch (cause) {
      if (!(cause instanceof MillraceError)) throw cause;
      const message = `${this.file.path}: tensor ${name}: ${cause.message}`;
      throw new MillraceError(cause.code, message, { cause });
    }
  }
}

async function readTensors(file: RandomAccessFile): Promise<{
  readonly tensors: ReadonlyMap<string, TorchEntry>;
  readonly bigEndian: boolean;
}> {
  const archive = await openArchive(file);
  const root = readPickle(await readEntry(file, archive.pickle), torchWorld);
  if (!isKind(root, "dict")) {
    throw invalid(`the pickle is ${describeValue(root)} and no dict of tensors`);
  }
  const tensors = new Map<string, TorchEntry>();
  for (const [name, value] of root.entries) {
    const tensor = tensorOf(value);
    // Training's other notes, a step or a name, are of no use here.
    if (tensor === null || typeof name !== "string") continue;
    tensors.set(name, entryOf(name, tensor, archive.storage(tensor.storage.key)));
  }
  if (tensors.size === 0) {
    const keys = [...root.entries.keys()].slice(0, 5).map(String).join(", ");
    throw invalid(`the pickle's dict has no tensors; it has ${keys === "" ? "nothing" : keys}`);
  }
  return { tensors, bigEndian: archive.bigEndian };
}

function tensorOf(value: PickleValue): TorchTensor | null {
  return isKind(value, "object") && value.value instanceof TorchTensor ? value.value : null;
}

/** The view compared with the storage, and the storage with its entry. */
function entryOf(name: string, tensor: TorchTensor, entry: ArchiveEntry | undefined): TorchEntry {
  const { storage, shape, strides, offset } = tensor;
  const label = `tensor ${JSON.stringify(name)}`;
  if (entry === undefined) {
    throw invalid(`${label} is in storage ${JSON.stringify(storage.key)}, which the zip lacks`);
  }
  const storageBytes = storage.elements * storage.elementBytes;
  if (storageBytes !== entry.byteLength) {
    const claim = `${storage.elements} ${storage.dtype} elements, ${storageBytes} bytes`;
    throw invalid(
      `${label}: its storage is said to have ${claim}; ${entry.name} has ${entry.byteLength}`,
    );
  }
  const elements = shape.reduce((product, size) => product * size, 1);
  const reach = shape.reduce((sum, size, axis) => sum + (size - 1) * (strides[axis] ?? 0), 0);
  const span = elements === 0 ? { from: 0, to: 0 } : { from: offset, to: offset + reach + 1 };
  // Also more elements than the storage has: an axis of stride 0 would make an array of any length from one value.
  if (span.to > storage.elements || elements > storage.elements) {
    const view = `shape [${shape.join(", ")}], strides [${strides.join(", ")}], offset ${offset}`;
    throw invalid(`${label} looks beyond its storage of ${storage.elements} elements: ${view}`);
  }
  const { dtype, elementBytes } = storage;
  return { name, dtype, shape, byteLength: elements * elementBytes, tensor, entry, span };
}

function isContiguous({ shape, strides }: TorchTensor): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis -= 1) {
    const size = shape[axis] ?? 1;
    // An axis of length one, or none at all, is never stepped along.
    if (size === 0) return true;
    if (size !== 1 && strides[axis] !== expected) return false;
    expected *= size;
  }
  return true;
}

/** The values in row-major order, from those of the span that the tensor looks at. */
function gather({ shape, strides }: TorchTensor, span: Float32Array): Float32Array {
  const count = shape.reduce((product, size) => product * size, 1);
  const values = new Float32Array(count);
  const rowLength = shape.at(-1) ?? 1;
  const rowStride = strides.at(-1) ?? 0;
  const place = shape.map(() => 0);
  let start = 0;
  for (let done = 0; done < count; done += rowLength) {
    for (let column = 0; column < rowLength; column += 1) {
      values[done + column] = span[start + column * rowStride] ?? Number.NaN;
    }
    for (let axis = shape.length - 2; axis >= 0; axis -= 1) {
      const stride = strides[axis] ?? 0;
      const next = (place[axis] ?? 0) + 1;
      start += stride;
      place[axis] = next;
      if (next < (shape[axis] ?? 1)) break;
      start -= next * stride;
      place[axis] = 0;
    }
  }
  return values;
}

function invalid(message: string): MillraceError {
  return new MillraceError("weights_invalid", message);
}
