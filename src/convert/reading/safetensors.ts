/**
 * Reads a safetensors file, which may be larger than the memory and may be hostile.
 *
 *   8 bytes            n bytes                      the rest
 *   ┌─────────┬──────────────────────────┬───────────┬───────────┬─────┐
 *   │ n, u64  │ JSON: name → dtype,      │ tensor    │ tensor    │  …  │
 *   │ little  │ shape, offsets in data   │           │           │     │
 *   └─────────┴──────────────────────────┴───────────┴───────────┴─────┘
 *
 * Everything that the header claims is compared with the size of the file before memory is taken for it, and
 * the tensors must cover the data without a gap or an overlap, as the reference implementation demands.
 */
import { MillraceError } from "millrace-client/wire";
import { isFloatType, notFloats } from "./floats.js";
import { RandomAccessFile } from "./random-access-file.js";
import {
  lengthBytes,
  parseHeader,
  readHeaderLength,
  type SafetensorsEntry,
} from "./safetensors-header.js";
import type { TensorFile } from "./tensor-file.js";

export class SafetensorsFile implements TensorFile {
  readonly file: RandomAccessFile;
  /** In the order of the header. */
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;

  private constructor(file: RandomAccessFile, tensors: ReadonlyMap<string, SafetensorsEntry>) {
    this.file = file;
    this.tensors = tensors;
  }

  /** Throws `weights_invalid` where the file is damaged, `model_folder_invalid` where it cannot be read. */
  static async open(path: string): Promise<SafetensorsFile> {
    const file = await RandomAccessFile.open(path);
    try {
      return new SafetensorsFile(file, await readEntries(file));
    } catch (error) {
      await file[Symbol.asyncDispose]();
      if (!(error instanceof MillraceError)) throw error;
      throw new MillraceError(error.code, `${path}: ${error.message}`, { cause: error });
    }
  }

  /** The values in row-major order. Throws `tensor_missing`, or `tensor_mismatch` where they are not floats. */
  async read(name: string): Promise<Float32Array> {
    const entry = this.tensors.get(name);
    if (entry === undefined) {
      throw new MillraceError("tensor_missing", `tensor ${name} is not in ${this.file.path}`);
    }
    const { dtype: type, byteOffset, byteLength } = entry;
    if (!isFloatType(type)) throw notFloats(name, type);
    return await this.file.readFloats({ type, byteOffset, byteLength, label: `tensor ${name}` });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.file[Symbol.asyncDispose]();
  }
}

async function readEntries(file: RandomAccessFile): Promise<Map<string, SafetensorsEntry>> {
  const lengthField = new Uint8Array(lengthBytes);
  const found = await file.read(lengthField, 0);
  const length = readHeaderLength(lengthField.subarray(0, found), file.byteLength);
  const header = new Uint8Array(length);
  const read = await file.read(header, lengthBytes);
  return parseHeader(header.subarray(0, read), file.byteLength);
}
