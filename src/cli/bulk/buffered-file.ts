/** A file that grows at its end, in large pieces. */
import { type FileHandle, open } from "node:fs/promises";
import { unwritable } from "../../work/file-problem.js";

const bufferBytesMax = 1024 * 1024;
/** Results that come slowly are seen all the same. */
const bufferMsMax = 1_000;

export class BufferedFile implements AsyncDisposable {
  readonly #path: string;
  readonly #file: FileHandle;
  #buffer: Uint8Array[] = [];
  #bufferBytes = 0;
  #position: number;
  #flushedMs: number = performance.now();

  /** What lies beyond the first `keptBytes` is cut off. With `isNew` a file that is there is refused. */
  static async open(
    path: string,
    {
      keptBytes = 0,
      isNew = false,
    }: { readonly keptBytes?: number; readonly isNew?: boolean } = {},
  ): Promise<BufferedFile> {
    try {
      const file = await open(path, keptBytes > 0 ? "r+" : isNew ? "wx" : "w");
      await file.truncate(keptBytes);
      return new BufferedFile(path, file, keptBytes);
    } catch (error) {
      throw unwritable(path, error);
    }
  }

  private constructor(path: string, file: FileHandle, position: number) {
    this.#path = path;
    this.#file = file;
    this.#position = position;
  }

  add(bytes: Uint8Array): void {
    this.#buffer.push(bytes);
    this.#bufferBytes += bytes.length;
  }

  /** Whether so much waits, or for so long, that it should be flushed. */
  get isDue(): boolean {
    if (this.#bufferBytes >= bufferBytesMax) return true;
    return this.#bufferBytes > 0 && performance.now() - this.#flushedMs >= bufferMsMax;
  }

  async flush(): Promise<void> {
    const bytes = Buffer.concat(this.#buffer);
    this.#buffer = [];
    this.#bufferBytes = 0;
    this.#flushedMs = performance.now();
    await this.writeAt(this.#position, bytes);
    this.#position += bytes.length;
  }

  /** Over what is there already: a head that says how much follows. */
  async writeAt(position: number, bytes: Uint8Array): Promise<void> {
    try {
      for (let done = 0; done < bytes.length; ) {
        const { bytesWritten } = await this.#file.write(bytes, done, null, position + done);
        done += bytesWritten;
      }
    } catch (error) {
      throw unwritable(this.#path, error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close();
  }
}
