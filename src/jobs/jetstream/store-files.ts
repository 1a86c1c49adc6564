/** Files of the store: heads among the records, chunks in a stream of their own. */
import { MillraceError } from "millrace-client/wire";
import type { Chunk, DerivedFile, FileWriting, NewFile, PageQuery, StoredFile } from "../store.js";
import type { Bodies, SequenceRange } from "./bodies.js";
import type { Feed } from "./feed.js";
import { JetStreamFileWriting } from "./file-writing.js";
import { isId, type Names } from "./names.js";
import { entriesFrom, fullPage, whenIndexed } from "./pages.js";
import type { FileRecord, FoundRecord, RecordIndex, Records, StoreRecord } from "./records.js";
import type { StoreSession } from "./session.js";
import type { StoreUsage } from "./usage.js";

export interface StoreFilesOptions {
  readonly session: StoreSession;
  readonly names: Names;
  readonly index: RecordIndex;
  readonly records: Records;
  readonly bodies: Bodies;
  readonly usage: StoreUsage;
  /** Of records. */
  readonly feed: Feed;
  readonly abandonedMs: number;
}

/** A writer says that it lives so often within the time after which it is taken for dead. */
const beatsBeforeAbandoned = 4;

export class StoreFiles {
  readonly #options: StoreFilesOptions;
  readonly #writing = new Set<FileWriting>();

  constructor(options: StoreFilesOptions) {
    this.#options = options;
  }

  async begin(head: NewFile): Promise<FileWriting> {
    const { usage, records, abandonedMs } = this.#options;
    if (!isId(head.id)) throw new Error(`${head.id} is no id: a mistake of the caller`);
    usage.claimNew(JSON.stringify(head).length);
    const record = { is: "writing", beat: 0 } as const;
    const revision = await records.put({ kind: "file", id: head.id, expected: 0 }, record);
    if (revision === null) {
      throw new MillraceError("internal", `there is, or was, a file ${head.id} already`);
    }
    this.#apply(head.id, record, revision);
    const writing: FileWriting = new JetStreamFileWriting({
      ...this.#options,
      head,
      revision,
      beatMs: Math.ceil(abandonedMs / beatsBeforeAbandoned),
      onRecord: (made, at) => this.#apply(head.id, made, at),
      onAborted: () => this.removeChunks(head.id),
      onEnd: () => this.#writing.delete(writing),
    });
    this.#writing.add(writing);
    return writing;
  }

  async get(id: string): Promise<StoredFile | null> {
    const found = await this.#find(id);
    if (found === null) return null;
    const { file } = found.record;
    if (file.of !== null) {
      // Made before its job says so: it is there from then on.
      const job = await this.#options.records.get("job", file.of.jobId);
      if (job?.record.is !== "job" || !job.record.derived.includes(id)) return null;
    }
    return { ...file, sequence: found.record.sequence ?? found.revision };
  }

  async list(query: PageQuery): Promise<readonly StoredFile[]> {
    const { index, records, feed } = this.#options;
    await whenIndexed(records, feed);
    const seen = [...index.files.values()].filter(({ id, isInternal, jobId }) => {
      if (isInternal) return false;
      return jobId === null || index.jobs.get(jobId)?.derived.includes(id) === true;
    });
    return await fullPage(entriesFrom(seen, query), query.limit, ({ id }) => this.get(id));
  }

  async chunk(fileId: string, index: number): Promise<Chunk | null> {
    if (!isId(fileId) || !Number.isSafeInteger(index) || index < 0) return null;
    const { names, bodies, index: known } = this.#options;
    // Not before it is finished, nor once it is deleted.
    const chunks = known.files.get(fileId)?.chunks ?? (await this.get(fileId))?.chunks ?? 0;
    if (index >= chunks) return null;
    const subject = names.chunk(fileId, index);
    const body = await bodies.get({ stream: names.chunks, subject, ownerId: fileId });
    if (body === null) {
      // It may have been deleted a moment ago.
      if ((await this.get(fileId)) === null) return null;
      throw new MillraceError("job_data_lost", `JetStream has lost chunk ${index} of ${fileId}`);
    }
    const [firstLine = 0, lines = 0] = body.numbers;
    return { index, firstLine, lines, bytes: body.bytes };
  }

  /** Not before this time. */
  async keepUntil(id: string, untilMs: number): Promise<void> {
    for (;;) {
      const found = await this.#find(id);
      if (found === null) return;
      const { file, sequence = found.revision } = found.record;
      if (file.expiresAtMs === null || file.expiresAtMs >= untilMs) return;
      const at = { kind: "file", id, expected: found.revision } as const;
      const record = { ...found.record, sequence, file: { ...file, expiresAtMs: untilMs } };
      const revision = await this.#options.records.put(at, record);
      if (revision === null) continue;
      this.#apply(id, record, revision);
      return;
    }
  }

  async remove(id: string): Promise<boolean> {
    for (;;) {
      const found = await this.#find(id);
      if (found === null) return false;
      const gone = await this.removeRecord(id, found.revision);
      if (!gone) continue;
      const { file, range } = found.record;
      if (file.of === null) await this.removeChunks(id, range);
      await this.#options.usage.refresh();
      return true;
    }
  }

  /** False: somebody was faster. */
  async removeRecord(id: string, expected: number): Promise<boolean> {
    const record = { is: "gone" } as const;
    const revision = await this.#options.records.put({ kind: "file", id, expected }, record);
    if (revision !== null) this.#apply(id, record, revision);
    return revision !== null;
  }

  async removeChunks(id: string, range: SequenceRange | null = null): Promise<void> {
    const { names, bodies } = this.#options;
    await bodies.purge(names.chunks, names.chunk(id, ">"), range);
    await bodies.removeParts(id);
  }

  /** Seen by nobody before its job says that it is there. Again: nothing. */
  async derive(derived: DerivedFile): Promise<void> {
    const record: FileRecord = { is: "file", file: { ...derived, chunks: 0 }, range: null };
    const at = { kind: "file", id: derived.id, expected: 0 } as const;
    const revision = await this.#options.records.put(at, record);
    if (revision !== null) this.#apply(derived.id, record, revision);
  }

  /** What cannot be taken away now, because NATS is away, is taken away by another server, as if this one had died. */
  async close(): Promise<void> {
    if (this.#options.session.current === null) return;
    await Promise.allSettled([...this.#writing].map((writing) => writing.abort()));
  }

  async #find(id: string): Promise<FoundRecord<FileRecord> | null> {
    if (!isId(id)) return null;
    const found = await this.#options.records.get("file", id);
    if (found !== null) this.#apply(id, found.record, found.revision);
    if (found?.record.is !== "file") return null;
    return { record: found.record, revision: found.revision };
  }

  #apply(id: string, record: StoreRecord, revision: number): void {
    this.#options.index.apply("file", id, { record, revision });
  }
}
