/** What a store promises, in a few maps: the suite asks both the same, and compares. It forgets nothing and it keeps no time. */
import type {
  Chunk,
  ChunkResults,
  DerivedFile,
  JobChange,
  ListPlace,
  NewFile,
  NewJob,
  PageQuery,
  StoredFile,
  StoredJob,
} from "#src/jobs/store.js";
import { hasEnded } from "#src/jobs/store.js";

interface ModelFile {
  readonly stored: StoredFile;
  readonly chunks: readonly Chunk[];
}

interface ModelJob {
  stored: StoredJob;
  readonly results: Map<number, ChunkResults>;
}

export class StoreModel {
  readonly files = new Map<string, ModelFile>();
  readonly jobs = new Map<string, ModelJob>();
  readonly #keys = new Map<string, { readonly jobId: string; readonly untilMs: number }>();
  /** Of what was deleted, in the order in which that was. */
  readonly places = { files: new Map<string, ListPlace>(), jobs: new Map<string, ListPlace>() };
  #sequence = 0;

  keepFile(head: NewFile, chunks: readonly Chunk[]): StoredFile {
    const sum = (of: (chunk: Chunk) => number): number =>
      chunks.reduce((all, chunk) => all + of(chunk), 0);
    const stored = {
      ...head,
      sequence: this.#next(),
      bytes: sum((chunk) => chunk.bytes.byteLength),
      lines: sum((chunk) => chunk.lines),
      chunks: chunks.length,
      of: null,
    };
    this.files.set(head.id, { stored, chunks });
    return stored;
  }

  filesPage(query: PageQuery): readonly StoredFile[] | null {
    const all = [...this.files.values()].map(({ stored }) => stored);
    return page(
      all.filter((file) => !file.isInternal),
      this.places.files,
      query,
    );
  }

  deleteFile(id: string): boolean {
    const file = this.files.get(id)?.stored;
    if (file?.isInternal === false) this.places.files.set(id, file);
    return this.files.delete(id);
  }

  createJob(job: NewJob): { readonly job: StoredJob; readonly isNew: boolean } {
    const key = JSON.stringify([job.owner, job.requestKey]);
    const kept = job.requestKey === null ? undefined : this.#keys.get(key);
    const before = kept === undefined ? undefined : this.jobs.get(kept.jobId);
    if (before !== undefined) return { job: before.stored, isNew: false };
    const file = this.files.get(job.fileId);
    if (file === undefined) throw new Error("the suite makes jobs of files that are there");
    const stored: StoredJob = {
      ...job,
      sequence: this.#next(),
      lines: file.stored.lines,
      chunks: file.stored.chunks,
      progress: { chunks: 0, succeeded: 0, failed: 0, outputBytes: 0, errorBytes: 0 },
      startedAtMs: null,
      finalizingAtMs: null,
      cancellingAtMs: null,
      endedAtMs: null,
      expiresAtMs: null,
      errors: [],
      outputFileId: null,
      errorFileId: null,
      calledAtMs: null,
      calling: null,
      owed: null,
    };
    this.jobs.set(job.id, { stored, results: new Map() });
    if (job.requestKey !== null) {
      this.#keys.set(key, { jobId: job.id, untilMs: job.requestKeyUntilMs ?? Infinity });
    }
    return { job: stored, isNew: true };
  }

  jobsPage(query: PageQuery): readonly StoredJob[] | null {
    return page(
      [...this.jobs.values()].map(({ stored }) => stored),
      this.places.jobs,
      query,
    );
  }

  openJobs(): readonly StoredJob[] {
    return [...this.jobs.values()].map(({ stored }) => stored).filter((job) => !hasEnded(job));
  }

  changeJob(id: string, change: JobChange, files: readonly DerivedFile[]): StoredJob | null {
    const job = this.jobs.get(id);
    if (job === undefined) return null;
    job.stored = { ...job.stored, ...change };
    const { fileId, progress, lines, expiresAtMs: untilMs } = job.stored;
    const input = this.files.get(fileId);
    const isPart = hasEnded(job.stored) && progress.succeeded + progress.failed < lines;
    if (isPart && input !== undefined && untilMs !== null && input.stored.expiresAtMs !== null) {
      const expiresAtMs = Math.max(input.stored.expiresAtMs, untilMs);
      this.files.set(fileId, { ...input, stored: { ...input.stored, expiresAtMs } });
    }
    for (const file of files) {
      const stored = { ...file, sequence: this.#next(), chunks: 0 };
      this.files.set(file.id, { stored, chunks: [] });
    }
    return job.stored;
  }

  deleteJob(id: string): boolean {
    const job = this.jobs.get(id)?.stored;
    if (job === undefined) return false;
    this.jobs.delete(id);
    this.places.jobs.set(id, job);
    if (this.files.get(job.fileId)?.stored.isInternal === true) this.deleteFile(job.fileId);
    for (const made of [job.outputFileId, job.errorFileId])
      if (made !== null) this.deleteFile(made);
    return true;
  }

  commit(jobId: string, results: ChunkResults): boolean {
    const job = this.jobs.get(jobId);
    if (job === undefined || hasEnded(job.stored) || job.results.has(results.index)) return false;
    job.results.set(results.index, results);
    const { progress } = job.stored;
    job.stored = {
      ...job.stored,
      progress: {
        chunks: progress.chunks + 1,
        succeeded: progress.succeeded + results.succeeded,
        failed: progress.failed + results.failed,
        outputBytes: progress.outputBytes + results.outputBytes,
        errorBytes: progress.errorBytes + results.errorBytes,
      },
    };
    return true;
  }

  nextUndone(jobId: string, fromChunk: number): number {
    const job = this.jobs.get(jobId);
    let next = fromChunk;
    while (job !== undefined && next < job.stored.chunks && job.results.has(next)) next += 1;
    return next;
  }

  removeExpired(nowMs: number): void {
    const isOver = (untilMs: number | null): boolean => untilMs !== null && untilMs <= nowMs;
    const read = new Set(this.openJobs().map((job) => job.fileId));
    for (const { stored } of this.jobs.values()) {
      if (hasEnded(stored) && isOver(stored.expiresAtMs)) this.deleteJob(stored.id);
    }
    for (const { stored } of this.files.values()) {
      if (isOver(stored.expiresAtMs) && !read.has(stored.id)) this.deleteFile(stored.id);
    }
    for (const [key, { untilMs }] of this.#keys) if (isOver(untilMs)) this.#keys.delete(key);
  }

  #next(): number {
    this.#sequence += 1;
    return this.#sequence;
  }
}

/** Null: `after` is not in the list, and was not. */
function page<T extends ListPlace & { readonly id: string }>(
  all: readonly T[],
  places: ReadonlyMap<string, ListPlace>,
  { owner = null, after, limit, order = "asc" }: PageQuery,
): readonly T[] | null {
  if (typeof after === "number") throw new Error("the model's sequences are its own");
  const isTheirs = (place: ListPlace): boolean => owner === null || place.owner === owner;
  const own = all.filter(isTheirs);
  const inOrder = order === "asc" ? own : own.toReversed();
  if (after === undefined) return inOrder.slice(0, limit);
  const from = all.find(({ id }) => id === after) ?? places.get(after);
  if (from === undefined || !isTheirs(from)) return null;
  const isBehind = ({ sequence }: ListPlace): boolean =>
    order === "asc" ? sequence > from.sequence : sequence < from.sequence;
  return inOrder.filter(isBehind).slice(0, limit);
}
