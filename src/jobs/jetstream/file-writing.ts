/** A file on its way in: chunks one after the other, some of them under way at once, and a head that is seen when all are there. */
import { MillraceError } from "millrace-client/wire";
import type { Chunk, FileWriting, LateFile, NewFile, StoredFile } from "../store.js";
import type { Bodies } from "./bodies.js";
import type { Names } from "./names.js";
import type { FileRecord, Records, StoreRecord } from "./records.js";
import type { UsageBook } from "./usage.js";

const underWayMax = 16;
const underWayBytesMax = 4 * 1024 * 1024;

export interface FileWritingOptions {
  readonly head: NewFile;
  /** Of its record, which says that it is written. */
  readonly revision: number;
  readonly beatMs: number;
  readonly names: Names;
  readonly records: Records;
  readonly bodies: Bodies;
  readonly usage: UsageBook;
  /** This server's own writes, for its index. */
  readonly onRecord: (record: StoreRecord, revision: number) => void;
  /** Takes away what was stored of it. */
  readonly onAborted: () => Promise<void>;
  readonly onEnd: () => void;
}

export class JetStreamFileWriting implements FileWriting {
  readonly #options: FileWritingOptions;
  readonly #underWay = new Set<Promise<void>>();
  readonly #timer: NodeJS.Timeout;
  /** Its record is changed by one at a time. */
  #beating: Promise<void> = Promise.resolve();
  #revision: number;
  #beats = 0;
  #underWayBytes = 0;
  #bytes = 0;
  #lines = 0;
  #chunks = 0;
  #failure: { readonly error: unknown } | null = null;
  #hasEnded = false;

  constructor(options: FileWritingOptions) {
    this.#options = options;
    this.#revision = options.revision;
    this.#timer = setInterval(() => this.#beat(), options.beatMs);
    this.#timer.unref();
  }

  async add(chunk: Omit<Chunk, "index">): Promise<void> {
    this.#check();
    const { length } = chunk.bytes;
    this.#options.usage.claim(length);
    while (
      this.#underWay.size >= underWayMax ||
      (this.#underWay.size > 0 && this.#underWayBytes + length > underWayBytesMax)
    ) {
      await Promise.race(this.#underWay);
      this.#check();
    }
    const stored = this.#put(this.#chunks++, chunk)
      .catch((error: unknown) => {
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#underWay.delete(stored);
        this.#underWayBytes -= length;
      });
    this.#underWay.add(stored);
    this.#underWayBytes += length;
    this.#bytes += length;
    this.#lines += chunk.lines;
  }

  async finish(late: LateFile = {}): Promise<StoredFile> {
    await Promise.all(this.#underWay);
    this.#check();
    this.#end();
    await this.#beating;
    const { head, records, onRecord } = this.#options;
    const file: FileRecord["file"] = {
      ...head,
      ...late,
      bytes: this.#bytes,
      lines: this.#lines,
      chunks: this.#chunks,
      of: null,
    };
    const record: FileRecord = { is: "file", file };
    const at = { kind: "file", id: head.id, expected: this.#revision } as const;
    const revision = await records.put(at, record);
    if (revision === null) throw this.#outlived();
    onRecord(record, revision);
    return { ...file, sequence: revision };
  }

  async abort(): Promise<void> {
    if (this.#hasEnded) return;
    this.#end();
    await Promise.all(this.#underWay);
    await this.#beating;
    const { head, records, onRecord, onAborted } = this.#options;
    const at = { kind: "file", id: head.id, expected: this.#revision } as const;
    const revision = await records.put(at, { is: "gone" });
    if (revision !== null) onRecord({ is: "gone" }, revision);
    await onAborted();
  }

  async #put(index: number, { firstLine, lines, bytes }: Omit<Chunk, "index">): Promise<void> {
    const { head, names, bodies } = this.#options;
    const subject = names.chunk(head.id, index);
    const place = { stream: names.chunks, subject, ownerId: head.id };
    await bodies.put(place, [firstLine, lines], bytes);
  }

  #check(): void {
    if (this.#failure !== null) throw this.#failure.error;
    if (this.#hasEnded) throw new Error("the file is finished or aborted: a mistake of the caller");
  }

  #end(): void {
    this.#hasEnded = true;
    clearInterval(this.#timer);
    this.#options.onEnd();
  }

  #beat(): void {
    const { head, records, onRecord } = this.#options;
    this.#beating = this.#beating
      .then(async () => {
        if (this.#hasEnded || this.#failure !== null) return;
        const record = { is: "writing", beat: ++this.#beats } as const;
        const at = { kind: "file", id: head.id, expected: this.#revision } as const;
        const revision = await records.put(at, record);
        if (revision === null) throw this.#outlived();
        this.#revision = revision;
        onRecord(record, revision);
      })
      .catch((error: unknown) => {
        this.#failure ??= { error };
      });
  }

  #outlived(): MillraceError {
    const message = "the file was written so slowly that it was taken for abandoned";
    return new MillraceError("job_store_failed", message);
  }
}
