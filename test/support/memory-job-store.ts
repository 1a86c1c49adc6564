/** A job store in memory, for tests of what stands on one: nothing of it survives. It is held to the list of all stores. */
import { MillraceError } from "millrace-client/wire";
import type { OpenCount } from "#src/jobs/open-tally.js";
import {
  type Chunk,
  type ChunkResults,
  type DerivedFile,
  type FileWriting,
  freshJob,
  hasEnded,
  inputNeededUntilMs,
  type JobChange,
  type JobListener,
  type JobStore,
  type ListPlace,
  type NewFile,
  type NewJob,
  noProgress,
  type PageQuery,
  type StoredFile,
  type StoredJob,
} from "#src/jobs/store.js";

interface Kept<T> {
  readonly value: T;
  readonly chunks: Chunk[];
}

export class MemoryJobStore implements JobStore {
  readonly #files = new Map<string, Kept<StoredFile>>();
  readonly #jobs = new Map<string, StoredJob>();
  /** What is coming in, with what it has brought so far. */
  readonly #writing = new Set<readonly Chunk[]>();
  /** The jobs of request keys that are not forgotten, by owner and key. */
  readonly #keys = new Map<string, { readonly jobId: string; readonly untilMs: number }>();
  readonly #results = new Map<string, Map<number, ChunkResults>>();
  readonly #listeners = new Set<JobListener>();
  /** Of what was deleted. */
  readonly #places = { files: new Map<string, ListPlace>(), jobs: new Map<string, ListPlace>() };
  #sequence = 0;
  #keptTimeMs = 0;
  bytesMax = 1024 ** 3;

  reason(): string | null {
    return null;
  }

  usage(): { readonly bytes: number; readonly bytesMax: number } {
    const files = [...this.#files.values()].flatMap(({ chunks }) => chunks);
    const lines = [...files, ...[...this.#writing].flat()];
    const results = [...this.#results.values()].flatMap((each) => [...each.values()]);
    const bytes = [...lines.map((each) => each.bytes), ...results.map(({ body }) => body)];
    return { bytes: bytes.reduce((sum, { length }) => sum + length, 0), bytesMax: this.bytesMax };
  }

  #refuseWhenFull(): void {
    const { bytes, bytesMax } = this.usage();
    if (bytes >= bytesMax) throw new MillraceError("job_store_full", "the store is full");
  }

  async beginFile(head: NewFile): Promise<FileWriting> {
    this.#refuseWhenFull();
    const chunks: Chunk[] = [];
    this.#writing.add(chunks);
    return {
      add: async (chunk) => {
        this.#refuseWhenFull();
        chunks.push({ ...chunk, index: chunks.length });
      },
      finish: async (late = {}) => {
        this.#writing.delete(chunks);
        const value: StoredFile = {
          ...head,
          ...late,
          sequence: this.#next(),
          bytes: chunks.reduce((sum, { bytes }) => sum + bytes.length, 0),
          lines: chunks.reduce((sum, { lines }) => sum + lines, 0),
          chunks: chunks.length,
          of: null,
        };
        this.#files.set(head.id, { value, chunks });
        return value;
      },
      abort: async () => void this.#writing.delete(chunks),
    };
  }

  file(id: string): Promise<StoredFile | null> {
    return Promise.resolve(this.#files.get(id)?.value ?? null);
  }

  async files(query: PageQuery): Promise<readonly StoredFile[]> {
    const all = [...this.#files.values()].map(({ value }) => value);
    return page(
      all.filter(({ isInternal }) => !isInternal),
      this.#places.files,
      query,
    );
  }

  chunk(fileId: string, index: number): Promise<Chunk | null> {
    return Promise.resolve(this.#files.get(fileId)?.chunks[index] ?? null);
  }

  deleteFile(id: string): Promise<boolean> {
    const file = this.#files.get(id)?.value;
    if (file === undefined) return Promise.resolve(false);
    if (!file.isInternal) this.#places.files.set(id, file);
    return Promise.resolve(this.#files.delete(id));
  }

  async createJob(job: NewJob): Promise<{ readonly job: StoredJob; readonly isNew: boolean }> {
    const key = job.requestKey === null ? null : `${job.owner}\0${job.requestKey}`;
    const same = this.#jobs.get(this.#keys.get(key ?? "")?.jobId ?? "");
    if (same !== undefined) return { job: same, isNew: false };
    this.#refuseWhenFull();
    const kept = this.#files.get(job.fileId);
    if (kept === undefined) throw new MillraceError("file_not_found", "no such file");
    const file = kept.value;
    if (file.isInternal)
      this.#files.set(file.id, { ...kept, value: { ...file, expiresAtMs: null } });
    if (key !== null) {
      this.#keys.set(key, { jobId: job.id, untilMs: job.requestKeyUntilMs ?? Infinity });
    }
    const made: StoredJob = {
      ...job,
      sequence: this.#next(),
      lines: file.lines,
      chunks: file.chunks,
      progress: noProgress,
      ...freshJob,
    };
    return { job: this.#keep(made), isNew: true };
  }

  job(id: string): Promise<StoredJob | null> {
    return Promise.resolve(this.#jobs.get(id) ?? null);
  }

  async jobs(query: PageQuery): Promise<readonly StoredJob[]> {
    return page([...this.#jobs.values()], this.#places.jobs, query);
  }

  openJobs(): Promise<readonly StoredJob[]> {
    return Promise.resolve([...this.#jobs.values()].filter((job) => !hasEnded(job)));
  }

  async openCount(tenant: string): Promise<OpenCount> {
    const open = await this.openJobs();
    return { all: open.length, ofTenant: open.filter((job) => job.tenant === tenant).length };
  }

  requestedJob(owner: string | null, requestKey: string): Promise<StoredJob | null> {
    const { jobId } = this.#keys.get(`${owner}\0${requestKey}`) ?? { jobId: "" };
    return Promise.resolve(this.#jobs.get(jobId) ?? null);
  }

  async changeJob(
    id: string,
    change: (job: StoredJob) => JobChange | null,
    files: readonly DerivedFile[] = [],
  ): Promise<StoredJob | null> {
    const job = this.#jobs.get(id);
    if (job === undefined) return null;
    const changed = change(job);
    if (changed === null) return job;
    for (const file of files) {
      const value = { ...file, sequence: this.#next(), chunks: 0 };
      this.#files.set(file.id, { value, chunks: [] });
    }
    const kept = this.#keep({ ...job, ...changed });
    const input = this.#files.get(job.fileId);
    const untilMs = inputNeededUntilMs(kept);
    const expiresAtMs = input?.value.expiresAtMs ?? null;
    if (input !== undefined && expiresAtMs !== null && untilMs !== null) {
      const value = { ...input.value, expiresAtMs: Math.max(expiresAtMs, untilMs) };
      this.#files.set(job.fileId, { ...input, value });
    }
    return kept;
  }

  deleteJob(id: string): Promise<boolean> {
    const job = this.#jobs.get(id);
    if (job === undefined) return Promise.resolve(false);
    this.#jobs.delete(id);
    this.#places.jobs.set(id, job);
    this.#results.delete(id);
    for (const [fileId, { value }] of this.#files) {
      const isOwn = fileId === job.fileId && value.isInternal;
      if (isOwn || value.of?.jobId === id) void this.deleteFile(fileId);
    }
    this.#tell(id);
    return Promise.resolve(true);
  }

  commit(jobId: string, results: ChunkResults): Promise<boolean> {
    const job = this.#jobs.get(jobId);
    const all = this.#results.get(jobId) ?? new Map<number, ChunkResults>();
    if (job === undefined || hasEnded(job) || all.has(results.index)) {
      return Promise.resolve(false);
    }
    all.set(results.index, results);
    this.#results.set(jobId, all);
    const { progress } = job;
    this.#keep({
      ...job,
      progress: {
        chunks: progress.chunks + 1,
        succeeded: progress.succeeded + results.succeeded,
        failed: progress.failed + results.failed,
        outputBytes: progress.outputBytes + results.outputBytes,
        errorBytes: progress.errorBytes + results.errorBytes,
      },
    });
    return Promise.resolve(true);
  }

  results(jobId: string, chunkIndex: number): Promise<ChunkResults | null> {
    return Promise.resolve(this.#results.get(jobId)?.get(chunkIndex) ?? null);
  }

  nextUndone(jobId: string, fromChunk: number): Promise<number> {
    const chunks = this.#jobs.get(jobId)?.chunks ?? 0;
    let index = fromChunk;
    while (index < chunks && this.#results.get(jobId)?.has(index) === true) index += 1;
    return Promise.resolve(Math.min(index, chunks));
  }

  onJobChanged(listener: JobListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async removeExpired(nowMs: number): Promise<number> {
    let removed = 0;
    for (const { id, expiresAtMs } of this.#jobs.values()) {
      if (expiresAtMs === null || expiresAtMs > nowMs) continue;
      await this.deleteJob(id);
      removed += 1;
    }
    const read = new Set((await this.openJobs()).map(({ fileId }) => fileId));
    for (const [id, { value }] of this.#files) {
      if (value.expiresAtMs === null || value.expiresAtMs > nowMs || read.has(id)) continue;
      await this.deleteFile(id);
      removed += 1;
    }
    for (const [key, { untilMs }] of this.#keys) if (untilMs <= nowMs) this.#keys.delete(key);
    return removed;
  }

  keptTimeMs(): Promise<number> {
    return Promise.resolve(this.#keptTimeMs);
  }

  keepTimeMs(nowMs: number): Promise<void> {
    this.#keptTimeMs = Math.max(this.#keptTimeMs, nowMs);
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  #next(): number {
    this.#sequence += 1;
    return this.#sequence;
  }

  #keep(job: StoredJob): StoredJob {
    this.#jobs.set(job.id, job);
    this.#tell(job.id);
    return job;
  }

  #tell(id: string): void {
    for (const listener of this.#listeners) listener(id, "job");
  }
}

function page<T extends ListPlace & { readonly id: string }>(
  all: readonly T[],
  places: ReadonlyMap<string, ListPlace>,
  { owner = null, after, limit, order = "asc" }: PageQuery,
): readonly T[] {
  const isTheirs = (place: ListPlace): boolean => owner === null || place.owner === owner;
  const place =
    typeof after === "string"
      ? (all.find(({ id }) => id === after) ?? places.get(after))
      : after !== undefined && { owner, sequence: after };
  if (place === undefined || (place !== false && !isTheirs(place))) {
    throw new MillraceError("bad_request", "there is no such page", { param: "after" });
  }
  const sign = order === "asc" ? 1 : -1;
  return all
    .filter(isTheirs)
    .filter(({ sequence }) => place === false || sign * (sequence - place.sequence) > 0)
    .sort((a, b) => sign * (a.sequence - b.sequence))
    .slice(0, limit);
}
