/** A file of which any part is read, and never more than was asked for. What lies in it is a stranger's. */
import { type FileHandle, open, stat } from "node:fs/promises";
import { endianness } from "node:os";
import { MillraceError } from "millrace-client/wire";
import { isMissing } from "../../models/read-json.js";
import { decodeFloats, type FloatType, floatBytes } from "./floats.js";

/** Bytes that one read takes; what is not float32 already is converted piece by piece of this size. */
const readBytesMax = 8 * 1024 * 1024;

/** A run of elements in the file. */
export interface FloatRange {
  readonly type: FloatType;
  readonly byteOffset: number;
  readonly byteLength: number;
  /** What is read, for errors: `tensor w`. */
  readonly label: string;
  readonly bigEndian?: boolean;
  /** Sees the bytes as they lie in the file, in order. */
  readonly onBytes?: (bytes: Uint8Array) => void;
}

export class RandomAccessFile implements AsyncDisposable {
  readonly path: string;
  readonly byteLength: number;
  readonly handle: FileHandle;

  private constructor(path: string, handle: FileHandle, byteLength: number) {
    this.path = path;
    this.handle = handle;
    this.byteLength = byteLength;
  }

  /** Throws `model_folder_invalid` where there is no file that can be read. */
  static async open(path: string): Promise<RandomAccessFile> {
    if (endianness() !== "LE") {
      throw new MillraceError("internal", "weights are little-endian, and this machine is not");
    }
    const handle = await openForReading(path);
    try {
      return new RandomAccessFile(path, handle, (await handle.stat()).size);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** Fills as much of the target as the file has from there on; returns how much. */
  async read(target: Uint8Array, position: number): Promise<number> {
    let done = 0;
    while (done < target.byteLength) {
      const length = target.byteLength - done;
      const { bytesRead } = await this.handle.read(target, done, length, position + done);
      if (bytesRead === 0) break;
      done += bytesRead;
    }
    return done;
  }

  /** The range is in the file, so its size is real; it may be more than one array can hold all the same. */
  async readFloats(range: FloatRange): Promise<Float32Array> {
    const { type, byteLength, label } = range;
    const values = allocateFloats(label, byteLength / floatBytes[type]);
    const direct = type === "F32" && range.bigEndian !== true;
    const buffer = direct
      ? new Uint8Array(values.buffer)
      : new Uint8Array(Math.min(readBytesMax, byteLength));
    let written = 0;
    for (let at = 0; at < byteLength; at += readBytesMax) {
      const start = direct ? at : 0;
      const piece = buffer.subarray(start, start + Math.min(readBytesMax, byteLength - at));
      if ((await this.read(piece, range.byteOffset + at)) < piece.byteLength) {
        const message = `${this.path} ends inside ${label}: it was cut after it was opened`;
        throw new MillraceError("weights_invalid", message);
      }
      range.onBytes?.(piece);
      if (direct) continue;
      if (range.bigEndian === true) swapBytes(piece, floatBytes[type]);
      written += decodeFloats(type, piece, values.subarray(written));
    }
    return values;
  }

  /** A second call does nothing. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.handle.close();
  }
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

function allocateFloats(label: string, count: number): Float32Array {
  try {
    return new Float32Array(count);
  } catch (cause) {
    const message = `${label} has ${count} values, too many to read at once`;
    throw new MillraceError("tensor_mismatch", message, { cause });
  }
}

function swapBytes(bytes: Uint8Array, elementBytes: 2 | 4 | 8): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (elementBytes === 2) buffer.swap16();
  else if (elementBytes === 4) buffer.swap32();
  else buffer.swap64();
}
