/**
 * READ FIRST of this folder: durable jobs in a folder of this machine, the only place that loads LMDB. The store's side of the loop:
 * it asks the thread that has the file (thread.ts), which lets books (books.ts) do what is asked on tables (tables.ts).
 *
 *   calls ─► waiting ─► one transaction at a time ─► synced ─► each call's promise
 *
 * What comes while a transaction is being synced is the next one, together: many commits share a sync.
 */
import { join } from "node:path";
import { MillraceError } from "millrace-client/wire";
import type { Log } from "../../log.js";
import { makeFolders } from "../../platform/make-folders.js";
import { messageOf } from "../../work/thrown.js";
import type { OpenCount } from "../open-tally.js";
import type {
  Chunk,
  ChunkResults,
  DerivedFile,
  FileWriting,
  JobChange,
  JobListener,
  JobStore,
  NewFile,
  NewJob,
  PageQuery,
  StoredFile,
  StoredJob,
} from "../store.js";
import type { Expiry, JobRecord, Reads, Write, Writes } from "./calls.js";
import { LmdbFileWriting } from "./file-writing.js";
import { checkFile, noteClosed } from "./folder-check.js";
import { FolderLock } from "./folder-lock.js";
import { StoreThread } from "./store-thread.js";

export interface LmdbStoreOptions {
  /** Made where it is missing; one store at a time. */
  readonly dir: string;
  readonly bytesMax: number;
  readonly log: Log;
  /** Within which the thread answers, or the store is taken to be away. Default: a minute. */
  readonly answerMsMax?: number;
}

const defaultAnswerMsMax = 60_000;

/** @throws MillraceError `data_in_use`, `data_invalid` */
export async function openLmdbStore(options: LmdbStoreOptions): Promise<JobStore> {
  const { dir, bytesMax, log, answerMsMax = defaultAnswerMsMax } = options;
  // What callers send lies there in the clear: it is nobody else's on this machine.
  await makeFolders(dir, { mode: 0o700 }).catch((error: unknown) => {
    throw new MillraceError("data_invalid", `${dir} cannot be used: ${messageOf(error)}`);
  });
  const lock = await FolderLock.take(dir);
  try {
    const path = join(dir, "jobs.mdb");
    await checkFile(path);
    const thread = await StoreThread.open({ path, bytesMax, log, answerMsMax });
    return new LmdbStore({ thread, lock, path, bytesMax });
  } catch (error) {
    await lock[Symbol.asyncDispose]();
    throw error;
  }
}

class LmdbStore implements JobStore {
  readonly #thread: StoreThread;
  readonly #lock: FolderLock;
  readonly #path: string;
  readonly #bytesMax: number;
  #sweeping: Promise<void> | null = null;
  #isClosed = false;

  constructor({ thread, lock, path, bytesMax }: Opened) {
    this.#thread = thread;
    this.#lock = lock;
    this.#path = path;
    this.#bytesMax = bytesMax;
    thread.onUnswept = () => this.#sweep();
    if (thread.isUnswept) this.#sweep();
  }

  reason(): string | null {
    return this.#thread.reason;
  }

  usage(): { readonly bytes: number; readonly bytesMax: number } {
    return { bytes: this.#thread.bytes, bytesMax: this.#bytesMax };
  }

  async beginFile(head: NewFile): Promise<FileWriting> {
    await this.#write("beginFile", head);
    return new LmdbFileWriting(head.id, {
      add: async (chunk) => void (await this.#write("addChunk", head.id, chunk)),
      finish: async (totals) => await this.#write("finishFile", head.id, totals),
      abort: async () => {
        await this.#write("abortFile", head.id);
        this.#sweep();
      },
    });
  }

  async file(id: string): Promise<StoredFile | null> {
    return await this.#read("file", id);
  }

  async files(query: PageQuery): Promise<readonly StoredFile[]> {
    return await this.#read("files", query);
  }

  async chunk(fileId: string, index: number): Promise<Chunk | null> {
    return await this.#read("chunk", fileId, index);
  }

  async deleteFile(id: string): Promise<boolean> {
    const wasThere = await this.#write("deleteFile", id);
    if (wasThere) this.#sweep();
    return wasThere;
  }

  async createJob(job: NewJob): Promise<{ readonly job: StoredJob; readonly isNew: boolean }> {
    return await this.#write("createJob", job);
  }

  async job(id: string): Promise<StoredJob | null> {
    return (await this.#read("jobRecord", id))?.job ?? null;
  }

  async jobs(query: PageQuery): Promise<readonly StoredJob[]> {
    return await this.#read("jobs", query);
  }

  async openJobs(): Promise<readonly StoredJob[]> {
    return await this.#read("openJobs");
  }

  async openCount(tenant: string): Promise<OpenCount> {
    return await this.#read("openCount", tenant);
  }

  async requestedJob(owner: string | null, requestKey: string): Promise<StoredJob | null> {
    return await this.#read("requestedJob", owner, requestKey);
  }

  async changeJob(
    id: string,
    change: (job: StoredJob) => JobChange | null,
    files: readonly DerivedFile[] = [],
  ): Promise<StoredJob | null> {
    const record = await this.#read("jobRecord", id);
    if (record === null) return null;
    // Null: it is left as it is.
    const changing = (seen: JobRecord): Write | null => {
      const wanted = change(seen.job);
      if (wanted === null) return null;
      return { name: "changeJob", args: [{ id, revision: seen.revision, change: wanted, files }] };
    };
    const first = changing(record);
    if (first === null) return record.job;
    const reply = await this.#thread.write(first, (value) => {
      const { record: seen, isChanged } = (value ?? { isChanged: true }) as ChangeReply;
      // Somebody was faster: again, before everything else, so that nobody is.
      return isChanged ? null : changing(seen);
    });
    return (reply as ChangeReply | null)?.record.job ?? null;
  }

  async deleteJob(id: string): Promise<boolean> {
    const wasThere = await this.#write("deleteJob", id);
    if (wasThere) this.#sweep();
    return wasThere;
  }

  async commit(jobId: string, results: ChunkResults): Promise<boolean> {
    return await this.#write("commit", jobId, results);
  }

  async results(jobId: string, chunkIndex: number): Promise<ChunkResults | null> {
    return await this.#read("results", jobId, chunkIndex);
  }

  async nextUndone(jobId: string, fromChunk: number): Promise<number> {
    return await this.#read("nextUndone", jobId, fromChunk);
  }

  onJobChanged(listener: JobListener): () => void {
    return this.#thread.onJobChanged(listener);
  }

  async removeExpired(nowMs: number): Promise<number> {
    let all = 0;
    let after: Expiry | null = null;
    do {
      const slice: ReturnType<Writes["removeExpired"]> = await this.#write(
        "removeExpired",
        nowMs,
        after,
      );
      all += slice.removed;
      after = slice.last;
    } while (after !== null);
    if (all > 0) this.#sweep();
    return all;
  }

  async keptTimeMs(): Promise<number> {
    return await this.#read("keptTime");
  }

  async keepTimeMs(nowMs: number): Promise<void> {
    await this.#write("keepTime", nowMs);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    await this.#sweeping;
    const isWhole = await this.#thread.close();
    // Without the note, because the disk is full, the next start looks through it.
    if (isWhole) await noteClosed(this.#path).catch(() => {});
    await this.#lock[Symbol.asyncDispose]();
  }

  /** What is hidden goes in slices, between other writes. What fails, or is not done at the end, is done by the next one. */
  #sweep(): void {
    this.#sweeping ??= this.#sweepAll().finally(() => {
      this.#sweeping = null;
    });
  }

  async #sweepAll(): Promise<void> {
    while (!this.#isClosed && (await this.#write("sweep").catch(() => false)));
  }

  async #write<Name extends keyof Writes>(
    name: Name,
    ...args: Parameters<Writes[Name]>
  ): Promise<ReturnType<Writes[Name]>> {
    return (await this.#thread.write({ name, args } as Write)) as ReturnType<Writes[Name]>;
  }

  async #read<Name extends keyof Reads>(
    name: Name,
    ...args: Parameters<Reads[Name]>
  ): Promise<ReturnType<Reads[Name]>> {
    return (await this.#thread.read({ name, args } as never)) as ReturnType<Reads[Name]>;
  }
}

interface Opened {
  readonly thread: StoreThread;
  readonly lock: FolderLock;
  readonly path: string;
  readonly bytesMax: number;
}

interface ChangeReply {
  readonly record: JobRecord;
  readonly isChanged: boolean;
}
