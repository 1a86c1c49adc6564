/** A file that comes in: chunks are on their way to the disk while the next ones are read, some at a time. */
import { MillraceError } from "millrace-client/wire";
import {
  type Chunk,
  chunkLimits,
  type FileWriting,
  type LateFile,
  type StoredFile,
} from "../store.js";
import type { FileTotals } from "./calls.js";

interface WritingPort {
  add(chunk: Chunk): Promise<void>;
  finish(totals: FileTotals & LateFile): Promise<StoredFile>;
  abort(): Promise<void>;
}

/** Not on disk yet: those of one transaction while those of the next are read. A long line is a chunk that is as long. */
const underWayMax = { chunks: 16, bytes: 16 * chunkLimits.bytesMax };

export class LmdbFileWriting implements FileWriting {
  readonly #id: string;
  readonly #port: WritingPort;
  readonly #underWay = new Set<Promise<void>>();
  #underWayBytes = 0;
  #totals: FileTotals = { bytes: 0, lines: 0, chunks: 0 };
  #failure: { readonly error: unknown } | null = null;
  #state: "open" | "finished" | "aborted" = "open";

  constructor(id: string, port: WritingPort) {
    this.#id = id;
    this.#port = port;
  }

  async add(chunk: Omit<Chunk, "index">): Promise<void> {
    this.#assertOpen();
    const { bytes, lines, chunks } = this.#totals;
    this.#totals = {
      bytes: bytes + chunk.bytes.byteLength,
      lines: lines + chunk.lines,
      chunks: chunks + 1,
    };
    this.#send({ ...chunk, index: chunks });
    while (
      this.#underWay.size >= underWayMax.chunks ||
      (this.#underWayBytes >= underWayMax.bytes && this.#underWay.size > 0)
    ) {
      await Promise.race(this.#underWay);
    }
    if (this.#failure !== null) throw this.#failure.error;
  }

  async finish(late: LateFile = {}): Promise<StoredFile> {
    this.#assertOpen();
    await Promise.all(this.#underWay);
    if (this.#failure !== null) throw this.#failure.error;
    const stored = await this.#port.finish({ ...this.#totals, ...late });
    this.#state = "finished";
    return stored;
  }

  async abort(): Promise<void> {
    if (this.#state !== "open") return;
    this.#state = "aborted";
    await Promise.all(this.#underWay);
    await this.#port.abort();
  }

  #send(chunk: Chunk): void {
    const bytes = chunk.bytes.byteLength;
    this.#underWayBytes += bytes;
    const sent = this.#port
      .add(chunk)
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#underWayBytes -= bytes;
        this.#underWay.delete(sent);
      });
    this.#underWay.add(sent);
  }

  #assertOpen(): void {
    if (this.#state === "open") return;
    throw new MillraceError("internal", `the file ${this.#id} is ${this.#state} already`);
  }
}
