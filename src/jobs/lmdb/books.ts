/** Everything that the store keeps, and the one way in: writes in a transaction, reads beside it. */
import { dirname } from "node:path";
import { MillraceError } from "millrace-client/wire";
import { OpenTally } from "../open-tally.js";
import { hasEnded, type StoredJob } from "../store.js";
import {
  type CallReply,
  type Expiry,
  isNewWork,
  type Read,
  type Reads,
  type Write,
  type Writes,
} from "./calls.js";
import { FileBook } from "./file-book.js";
import { FileReserve } from "./file-reserve.js";
import { bringForward } from "./format.js";
import { JobBook } from "./job-book.js";
import { forgetPlace, isListName, keptTimeMs } from "./places.js";
import { diskFull, StoreRoom } from "./store-room.js";
import { type DamagedValue, Tables } from "./tables.js";
import { thrownError } from "./thrown-error.js";

/** Rows that one write removes of what is hidden or expired: some milliseconds, and other writes go between. */
const sliceRows = 128;

/** Kept beside what is written; more where something comes in, so that on a full disk what was accepted can still be deleted. */
const spareBytes = { content: 4 * 1024 ** 2, change: 2 * 1024 ** 2 } as const;

export interface BooksOptions {
  readonly bytesMax: number;
  /** Once of each value. */
  readonly onDamaged: (value: DamagedValue) => void;
}

export class Books {
  readonly #tables: Tables;
  readonly #files: FileBook;
  readonly #jobs: JobBook;
  readonly #room: StoreRoom;
  readonly #reserve: FileReserve;
  /** By tenant. */
  readonly #open = new OpenTally();
  /** By the file that they read: each file that expires asks. */
  readonly #openInputs = new OpenTally();
  /** That are told of, of the transaction that runs. */
  #changed = new Set<string>();
  bytes: number;

  constructor(path: string, { bytesMax, onDamaged }: BooksOptions) {
    this.#tables = new Tables(path, { mapBytes: mapBytesOf(bytesMax), onDamaged });
    this.#reserve = new FileReserve(path);
    this.#reserveFor([]);
    bringForward(this.#tables);
    this.#files = new FileBook(this.#tables);
    this.#jobs = new JobBook(this.#tables, this.#files);
    this.#room = new StoreRoom(dirname(path), bytesMax);
    this.#tables.transaction(() => this.#files.abortAll());
    this.bytes = this.#tables.usedBytes();
    for (const job of this.#jobs.open()) this.#see(job.id);
    // What is damaged of it is told now, and not each second while nothing is done.
    keptTimeMs(this.#tables);
  }

  get isUnswept(): boolean {
    for (const _grave of this.#tables.keys("graves", {})) return true;
    return false;
  }

  write(writes: readonly Write[]): {
    readonly replies: readonly CallReply[];
    readonly changedJobs: readonly string[];
  } {
    this.#changed = new Set();
    const replies = this.#together(writes) ?? writes.flatMap((write) => this.#alone(write));
    this.bytes = this.#tables.usedBytes();
    for (const id of this.#changed) this.#see(id);
    return { replies, changedJobs: [...this.#changed] };
  }

  read(read: Read): CallReply {
    try {
      return { value: this.#read(read) };
    } catch (error) {
      return { error: thrownError(error) };
    }
  }

  async close(): Promise<void> {
    this.#reserve.close();
    await this.#tables.close();
  }

  /** Null: one of them failed, and nothing is written. */
  #together(writes: readonly Write[]): readonly CallReply[] | null {
    try {
      this.#reserveFor(writes);
      return this.#tables.transaction(() => writes.map((write) => this.#replyTo(write)));
    } catch {
      return null;
    }
  }

  #alone(write: Write): CallReply {
    try {
      this.#reserveFor([write]);
      return this.#tables.transaction(() => this.#replyTo(write));
    } catch (error) {
      const isFull = !(error instanceof MillraceError) && this.#room.isDiskFull(this.#freeBytes);
      if (isFull && isNewWork(write)) return { error: thrownError(diskFull()) };
      return { error: thrownError(error) };
    }
  }

  /** @throws what ends the transaction: LMDB's errors, and a refusal in the middle, which must leave nothing */
  #replyTo(write: Write): CallReply {
    const before = this.#tables.writes;
    try {
      return { value: this.#writers[write.name](...(write.args as [never, never])) };
    } catch (error) {
      if (error instanceof MillraceError && this.#tables.writes === before) {
        return { error: thrownError(error) };
      }
      throw error;
    }
  }

  #read(read: Read): unknown {
    return this.#readers[read.name](...(read.args as [never, never]));
  }

  readonly #writers: Writes = {
    beginFile: (head) => {
      this.#refuseFull(1);
      this.#files.begin(head);
      return null;
    },
    addChunk: (fileId, chunk) => {
      this.#refuseFull(chunk.bytes.byteLength);
      this.#files.addChunk(fileId, chunk);
      return null;
    },
    finishFile: (fileId, totals) => this.#files.finish(fileId, totals),
    abortFile: (fileId) => {
      this.#files.abort(fileId);
      return null;
    },
    deleteFile: (id) => this.#files.remove(id),
    createJob: (job) => {
      const before = this.#jobs.madeBefore(job);
      if (before !== null) return { job: before, isNew: false };
      this.#refuseFull(this.#files.file(job.fileId)?.bytes ?? 0);
      this.#changed.add(job.id);
      return { job: this.#jobs.create(job), isNew: true };
    },
    changeJob: (changing) => {
      this.#changed.add(changing.id);
      return this.#jobs.change(changing);
    },
    deleteJob: (id) => {
      this.#changed.add(id);
      return this.#jobs.remove(id);
    },
    commit: (jobId, results) => {
      this.#changed.add(jobId);
      return this.#jobs.commit(jobId, results);
    },
    keepTime: (nowMs) => {
      if (nowMs > keptTimeMs(this.#tables)) this.#tables.put("marks", "time", { ms: nowMs });
      return null;
    },
    removeExpired: (nowMs, after) => this.#removeExpired(nowMs, after),
    sweep: () => this.#sweep(),
  };

  readonly #readers: Reads = {
    file: (id) => this.#files.file(id),
    files: (query) => this.#files.page(query),
    chunk: (fileId, index) => this.#files.chunk(fileId, index),
    jobRecord: (id) => this.#jobs.record(id),
    jobs: (query) => this.#jobs.page(query),
    openJobs: () => this.#jobs.open(),
    openCount: (tenant) => this.#open.of(tenant),
    requestedJob: (owner, requestKey) => this.#jobs.madeBefore({ owner, requestKey }),
    results: (jobId, chunkIndex) => this.#jobs.results(jobId, chunkIndex),
    nextUndone: (jobId, fromChunk) => this.#jobs.nextUndone(jobId, fromChunk),
    keptTime: () => keptTimeMs(this.#tables),
  };

  #refuseFull(newBytes: number): void {
    const freeBytes = this.#freeBytes;
    this.#room.refuseFull({ usedBytes: this.bytes, freeBytes }, newBytes);
  }

  /** @throws the system's error where the disk is full */
  #reserveFor(writes: readonly Write[]): void {
    const bytes = writes.reduce((sum, write) => sum + writtenBytes(write), 0);
    const spare = bytes === 0 ? spareBytes.change : spareBytes.content;
    this.#reserve.ensure(this.#tables.endBytes + bytes + spare);
  }

  get #freeBytes(): number {
    return this.#tables.endBytes - this.bytes;
  }

  #see(jobId: string): void {
    const job = this.#jobs.intact(jobId);
    this.#openInputs.see(jobId, readBy(job));
    this.#room.see(jobId, job, job === null ? null : this.#files.intact(job.fileId));
    this.#open.see(jobId, job === null || hasEnded(job) ? null : job.tenant);
  }

  /** A file that an open job reads stays; it is looked at again the next time. */
  #removeExpired(nowMs: number, after: Expiry | null): ReturnType<Writes["removeExpired"]> {
    // Those of this very transaction too: a job may have begun to read what is over.
    for (const id of this.#changed) this.#openInputs.see(id, readBy(this.#jobs.intact(id)));
    const over: Expiry[] = [];
    const range = { ...(after !== null && { start: [...after] }), end: [nowMs, "~"] };
    for (const at of this.#tables.keys("expiries", range)) {
      over.push(at as unknown as Expiry);
      if (over.length >= sliceRows) break;
    }
    let removed = 0;
    for (const [untilMs, kind, id] of over) {
      if (kind === "file" && this.#openInputs.has(id)) continue;
      this.#tables.remove("expiries", [untilMs, kind, id]);
      if (kind === "job") this.#changed.add(id);
      if (this.#expire(kind, id)) removed += 1;
    }
    return { removed, last: over.length < sliceRows ? null : (over.at(-1) ?? null) };
  }

  #expire(kind: string, id: string): boolean {
    if (kind === "job") return this.#jobs.remove(id);
    if (isListName(kind)) {
      forgetPlace(this.#tables, kind, id);
      return false;
    }
    return kind === "file" ? this.#files.remove(id) : this.#jobs.forget(id);
  }

  #sweep(): boolean {
    const [grave] = this.#tables.keys("graves", {});
    if (grave === undefined) return false;
    const [kind, id] = grave as ["chunks" | "results", string];
    const rows: (string | number | (string | number)[])[] = [];
    for (const key of this.#tables.keys(kind, {
      start: [id, 0],
      end: [id, Number.MAX_SAFE_INTEGER],
    })) {
      rows.push(key);
      if (rows.length >= sliceRows) break;
    }
    for (const key of rows) this.#tables.remove(kind, key);
    if (rows.length < sliceRows) this.#tables.remove("graves", [kind, id]);
    return true;
  }
}

/** With the pages that point to it, which are written anew. */
function writtenBytes(write: Write): number {
  const pagesEach = 8 * 4_096;
  if (write.name === "addChunk") return write.args[1].bytes.byteLength + pagesEach;
  if (write.name === "commit") return write.args[1].body.byteLength + pagesEach;
  return write.name === "createJob" || write.name === "beginFile" ? pagesEach : 0;
}

function readBy(job: StoredJob | null): string | null {
  return job === null || hasEnded(job) ? null : job.fileId;
}

/** Addresses cost nothing: room for results beyond the limit, and for pages that are free or half full. */
function mapBytesOf(bytesMax: number): number {
  return 4 * bytesMax + 2 ** 30;
}
