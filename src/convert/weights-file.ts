/**
 * The file beside the graphs that holds every large tensor (ONNX's external data), so that two graphs share one
 * copy and no tensor larger than itself is ever in memory. Written once, from front to back.
 */
import { createHash, type Hash } from "node:crypto";
import { type FileHandle, open } from "node:fs/promises";
import type { ElementType } from "./onnx/schema.js";

/** A tensor's place in the file. */
export interface StoredTensor {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly number[];
  readonly file: string;
  readonly byteOffset: number;
  readonly byteLength: number;
}

export type WeightData = Float32Array | Uint8Array | Int8Array | Uint16Array | Int32Array;

const alignmentBytes = 64;

export class WeightsFile implements AsyncDisposable {
  readonly fileName: string;
  #handle: FileHandle;
  #position = 0;
  #hash: Hash = createHash("sha256");
  #stored = new Map<string, StoredTensor>();

  private constructor(handle: FileHandle, fileName: string) {
    this.#handle = handle;
    this.fileName = fileName;
  }

  static async create(path: string, fileName: string): Promise<WeightsFile> {
    return new WeightsFile(await open(path, "wx"), fileName);
  }

  get byteLength(): number {
    return this.#position;
  }

  /** A tensor that was written before under this name, so that two graphs can share it. */
  find(name: string): StoredTensor | undefined {
    return this.#stored.get(name);
  }

  async write(
    tensor: {
      readonly name: string;
      readonly type: ElementType;
      readonly shape: readonly number[];
    },
    data: WeightData,
  ): Promise<StoredTensor> {
    return await this.writeParts(tensor, [data]);
  }

  /** Writes a tensor that comes in pieces along its leading dimension. */
  async writeParts(
    tensor: {
      readonly name: string;
      readonly type: ElementType;
      readonly shape: readonly number[];
    },
    parts: AsyncIterable<WeightData> | Iterable<WeightData>,
  ): Promise<StoredTensor> {
    await this.#append(new Uint8Array(-this.#position & (alignmentBytes - 1)));
    const byteOffset = this.#position;
    for await (const part of parts) {
      await this.#append(new Uint8Array(part.buffer, part.byteOffset, part.byteLength));
    }
    const stored: StoredTensor = {
      ...tensor,
      file: this.fileName,
      byteOffset,
      byteLength: this.#position - byteOffset,
    };
    this.#stored.set(tensor.name, stored);
    return stored;
  }

  async #append(bytes: Uint8Array): Promise<void> {
    if (bytes.byteLength === 0) return;
    this.#hash.update(bytes);
    let done = 0;
    while (done < bytes.byteLength) {
      const { bytesWritten } = await this.#handle.write(bytes, done);
      done += bytesWritten;
    }
    this.#position += bytes.byteLength;
  }

  /** Flushes, closes, and returns the SHA-256 of the whole file in hexadecimal. */
  async finish(): Promise<string> {
    await this.#handle.sync();
    await this.#handle.close();
    return this.#hash.digest("hex");
  }

  /** Safe after `finish`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}
