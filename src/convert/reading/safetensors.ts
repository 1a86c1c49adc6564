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
import { type FileHandle, open, stat } from "node:fs/promises";
import { endianness } from "node:os";
import { MillraceError } from "millrace-client/wire";
import { type HashProgress, hashHandle } from "../../models/file-hash.js";
import { isMissing } from "../../models/read-json.js";
import { decodeFloats, type FloatType, isFloatType } from "./floats.js";
import {
  lengthBytes,
  parseHeader,
  readHeaderLength,
  type TensorEntry,
} from "./safetensors-header.js";

export type { TensorEntry } from "./safetensors-header.js";

/** Bytes that one read takes; what is not float32 already is converted piece by piece of this size. */
const readBytesMax = 8 * 1024 * 1024;

export class SafetensorsFile implements AsyncDisposable {
  /** In the order of the header. */
  readonly entries: ReadonlyMap<string, TensorEntry>;
  /** Size of the whole file. */
  readonly byteLength: number;
  readonly #path: string;
  readonly #handle: FileHandle;

  private constructor(path: string, handle: FileHandle, header: ParsedFile) {
    this.#path = path;
    this.#handle = handle;
    this.entries = header.entries;
    this.byteLength = header.byteLength;
  }

  /** Throws `weights_invalid` where the file is damaged, `model_folder_invalid` where it cannot be read. */
  static async open(path: string): Promise<SafetensorsFile> {
    if (endianness() !== "LE") {
      throw new MillraceError("internal", "safetensors is little-endian, and this machine is not");
    }
    const handle = await openForReading(path);
    try {
      return new SafetensorsFile(path, handle, await readHeader(handle));
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** The values in row-major order. Throws `tensor_missing`, or `tensor_mismatch` where they are not floats. */
  async readFloat32(name: string): Promise<Float32Array> {
    const { entry, type } = this.#floats(name);
    return await this.#read(entry, type, { from: 0, to: entry.byteLength });
  }

  /** The slices `[fromRow, toRow)` of the leading dimension: a huge tensor need not fit the memory. */
  async readFloat32Rows(name: string, fromRow: number, toRow: number): Promise<Float32Array> {
    const { entry, type } = this.#floats(name);
    const rows = entry.shape[0];
    if (rows === undefined) {
      throw new MillraceError("tensor_mismatch", `tensor ${name} is a scalar and has no rows`);
    }
    const valid = Number.isInteger(fromRow) && Number.isInteger(toRow);
    if (!valid || fromRow < 0 || toRow < fromRow || toRow > rows) {
      throw new RangeError(`rows ${fromRow} to ${toRow} of tensor ${name}, which has ${rows}`);
    }
    const rowBytes = rows === 0 ? 0 : entry.byteLength / rows;
    return await this.#read(entry, type, { from: fromRow * rowBytes, to: toRow * rowBytes });
  }

  /** SHA-256 of the whole file in hexadecimal. */
  async sha256(onProgress?: HashProgress): Promise<string> {
    return await hashHandle(this.#handle, onProgress);
  }

  /** A second call does nothing. */
  async close(): Promise<void> {
    await this.#handle.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #floats(name: string): { entry: TensorEntry; type: FloatType } {
    const entry = this.entries.get(name);
    if (entry === undefined) {
      throw new MillraceError("tensor_missing", `tensor ${name} is not in ${this.#path}`);
    }
    if (!isFloatType(entry.dtype)) {
      const found = `tensor ${name} has type ${entry.dtype}`;
      throw new MillraceError("tensor_mismatch", `${found}; expected F16, BF16, F32 or F64`);
    }
    return { entry, type: entry.dtype };
  }

  async #read(
    entry: TensorEntry,
    type: FloatType,
    range: { readonly from: number; readonly to: number },
  ): Promise<Float32Array> {
    const values = allocateFloats(entry, (range.to - range.from) / entry.elementBytes);
    if (type === "F32") {
      const bytes = new Uint8Array(values.buffer);
      for (let done = 0; done < bytes.byteLength; done += readBytesMax) {
        const piece = bytes.subarray(done, done + readBytesMax);
        await this.#fill(piece, entry, range.from + done);
      }
      return values;
    }
    const buffer = new Uint8Array(Math.min(readBytesMax, range.to - range.from));
    let written = 0;
    for (let at = range.from; at < range.to; at += buffer.byteLength) {
      const piece = buffer.subarray(0, Math.min(buffer.byteLength, range.to - at));
      await this.#fill(piece, entry, at);
      written += decodeFloats(type, piece, values.subarray(written));
    }
    return values;
  }

  /** Fills the piece from the tensor's byte `at`; a read may give less than it was asked for. */
  async #fill(piece: Uint8Array, entry: TensorEntry, at: number): Promise<void> {
    const start = entry.byteOffset + at;
    for (let done = 0; done < piece.byteLength; ) {
      const length = piece.byteLength - done;
      const { bytesRead } = await this.#handle.read(piece, done, length, start + done);
      if (bytesRead === 0) {
        const message = `${this.#path} ends inside tensor ${entry.name}: it was cut after it was opened`;
        throw new MillraceError("weights_invalid", message);
      }
      done += bytesRead;
    }
  }
}

interface ParsedFile {
  readonly entries: ReadonlyMap<string, TensorEntry>;
  readonly byteLength: number;
}

async function openForReading(path: string): Promise<FileHandle> {
  try {
    // Before it is opened: opening a pipe would wait for somebody who writes.
    if (!(await stat(path)).isFile()) {
      throw new MillraceError("model_folder_invalid", `${path} is not a file`);
    }
    return await open(path, "r");
  } catch (cause) {
    if (cause instanceof MillraceError) throw cause;
    const what = isMissing(cause) ? "is missing" : "cannot be read";
    throw new MillraceError("model_folder_invalid", `${path} ${what}`, { cause });
  }
}

async function readHeader(handle: FileHandle): Promise<ParsedFile> {
  const stats = await handle.stat();
  const length = readHeaderLength(await readStart(handle, 0, lengthBytes), stats.size);
  const header = await readStart(handle, lengthBytes, length);
  return { entries: parseHeader(header, stats.size), byteLength: stats.size };
}

async function readStart(handle: FileHandle, from: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const { bytesRead } = await handle.read(bytes, done, length - done, from + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}

/** The tensor is in the file, so its size is real; it may be more than one array can hold all the same. */
function allocateFloats(entry: TensorEntry, count: number): Float32Array {
  try {
    return new Float32Array(count);
  } catch (cause) {
    const message = `tensor ${entry.name} has ${count} values, too many to read at once`;
    throw new MillraceError("tensor_mismatch", message, { cause });
  }
}
