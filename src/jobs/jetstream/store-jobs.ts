/** Jobs of the store: records, and the results of their chunks. */
import { MillraceError } from "millrace-client/wire";
import {
  type ChunkResults,
  type DerivedFile,
  hasEnded,
  inputNeededUntilMs,
  type JobChange,
  type JobListener,
  type NewJob,
  type PageQuery,
  type StoredJob,
} from "../store.js";
import type { Bodies, BodyPlace, SequenceRange } from "./bodies.js";
import type { Feed } from "./feed.js";
import { isId, keyToken, type Names } from "./names.js";
import { entriesFrom, fullPage, whenIndexed } from "./pages.js";
import type { ProgressBook } from "./progress-book.js";
import {
  type FoundRecord,
  type JobEntry,
  type KeptJob,
  newKeptJob,
  type RecordIndex,
  type Records,
} from "./records.js";
import type { StoreSession } from "./session.js";
import type { StoreFiles } from "./store-files.js";
import { type ChunkTally, packResultNumbers, readResultNumbers } from "./tallies.js";
import type { StoreUsage } from "./usage.js";

export interface StoreJobsOptions {
  readonly session: StoreSession;
  readonly names: Names;
  readonly index: RecordIndex;
  readonly records: Records;
  readonly bodies: Bodies;
  readonly progress: ProgressBook;
  readonly usage: StoreUsage;
  readonly files: StoreFiles;
  /** Of records. */
  readonly feed: Feed;
  readonly onChanged: JobListener;
}

export class StoreJobs {
  readonly #options: StoreJobsOptions;

  constructor(options: StoreJobsOptions) {
    this.#options = options;
  }

  async create(job: NewJob): Promise<{ readonly job: StoredJob; readonly isNew: boolean }> {
    const { files, usage, progress } = this.#options;
    if (!isId(job.id)) throw new Error(`${job.id} is no id: a mistake of the caller`);
    const { job: before } = await this.#madeBefore(job);
    if (before !== null) return { job: this.#stored(before), isNew: false };
    const file = await files.get(job.fileId);
    if (file === null) throw new MillraceError("file_not_found", `there is no file ${job.fileId}`);
    const record = newKeptJob(job, file, progress.resultsFrom);
    usage.claimNew(JSON.stringify(record).length);
    const other = await this.#claimKey(job, record);
    if (other !== null) return { job: this.#stored(other), isNew: false };
    const made = await this.#make(record);
    // Under a key somebody may have made this very job for us meanwhile.
    if (made === null || (job.requestKey === null && made.record !== record)) {
      throw new MillraceError("internal", `there is, or was, a job ${job.id}`);
    }
    return { job: this.#stored(made), isNew: true };
  }

  async get(id: string): Promise<StoredJob | null> {
    const found = await this.#find(id);
    return found === null ? null : this.#stored(found);
  }

  async requested(owner: string | null, requestKey: string): Promise<StoredJob | null> {
    const { job } = await this.#madeBefore({ owner, requestKey });
    return job === null ? null : this.#stored(job);
  }

  async list(query: PageQuery): Promise<readonly StoredJob[]> {
    const { index, records, feed } = this.#options;
    await whenIndexed(records, feed);
    const entries = entriesFrom(index.jobs.values(), query);
    return await fullPage(entries, query.limit, ({ id }) => this.get(id));
  }

  async open(): Promise<readonly StoredJob[]> {
    const { index, records, feed } = this.#options;
    await whenIndexed(records, feed);
    const open = [...index.jobs.values()].flatMap((job) => (job.open === null ? [] : [job.open]));
    return open.map((found) => this.#stored(found)).sort((a, b) => a.sequence - b.sequence);
  }

  async change(
    id: string,
    change: (job: StoredJob) => JobChange | null,
    derived: readonly DerivedFile[] = [],
  ): Promise<StoredJob | null> {
    const { files, progress } = this.#options;
    let isDerived = false;
    for (;;) {
      const found = await this.#find(id);
      const changed = found === null ? null : change(this.#stored(found));
      if (found === null || changed === null) {
        // Somebody was faster, and these are files of nobody.
        const own = derived.filter((file) => found?.record.derived.includes(file.id) !== true);
        if (isDerived) for (const file of own) await files.remove(file.id);
        return found === null ? null : this.#stored(found);
      }
      const neededUntilMs = inputNeededUntilMs({ ...this.#stored(found), ...changed });
      // Before it has ended: whoever does this may die then, and nobody would do the rest.
      if (neededUntilMs !== null) await files.keepUntil(found.record.job.fileId, neededUntilMs);
      for (const file of derived) await files.derive(file);
      isDerived = true;
      const { record } = found;
      const next: KeptJob = {
        ...record,
        job: { ...record.job, ...changed },
        derived: [...new Set([...record.derived, ...derived.map((file) => file.id)])],
      };
      const made = await this.#put(found, next);
      if (made !== null) return this.#stored(await progress.sealed(made));
    }
  }

  /** Each of its chunks is in the work queue, or has results. */
  async laidOut(id: string): Promise<void> {
    for (;;) {
      const found = await this.#find(id);
      if (found === null || hasEnded(found.record.job) || found.record.isLaidOut) return;
      if ((await this.#put(found, { ...found.record, isLaidOut: true })) !== null) return;
    }
  }

  async remove(id: string): Promise<boolean> {
    const { records, files, usage, progress } = this.#options;
    for (;;) {
      const found = isId(id) ? await records.get("job", id) : null;
      if (found?.record.is !== "job") return false;
      const { job, derived, resultsFrom: from } = found.record;
      const record = { is: "gone" } as const;
      const revision = await records.put({ kind: "job", id, expected: found.revision }, record);
      if (revision === null) continue;
      this.#options.index.apply("job", id, { record, revision });
      // Whoever commits results of it just now takes them away again.
      const to = await progress.putFence(id);
      progress.forget(id);
      this.#options.onChanged(id, "job");
      await this.#forgetKey(job);
      await this.removeResults(id, { from, to });
      for (const file of derived) await files.remove(file);
      const input = await files.get(job.fileId);
      if (input?.isInternal === true) await files.remove(job.fileId);
      await usage.refresh();
      return true;
    }
  }

  async removeResults(id: string, range: SequenceRange | null = null): Promise<void> {
    const { names, bodies } = this.#options;
    await bodies.purge(names.results, names.result(id, ">"), range);
    await bodies.removeParts(id);
  }

  async removeFence(id: string): Promise<void> {
    const { session, names } = this.#options;
    const filter = names.fence(id);
    await session.run(({ jsm }) => jsm.streams.purge(names.results, { filter }));
  }

  async commit(jobId: string, results: ChunkResults): Promise<boolean> {
    const { bodies, progress, usage } = this.#options;
    const job = await this.#entry(jobId);
    if (job === null || job.open === null) return false;
    const { index } = results;
    if (!Number.isSafeInteger(index) || index < 0 || index >= job.chunks) {
      throw new MillraceError("internal", `the job ${jobId} has no chunk ${index}`);
    }
    if (progress.has(jobId, index)) return false;
    try {
      const place = this.#place(jobId, results.index);
      const stored = await bodies.put(place, packResultNumbers(results), results.body);
      if (stored === null) return false;
      const { sequence } = stored;
      const fence = await progress.fenceOf(jobId);
      if (fence !== null && fence < sequence) {
        await this.#takeAway(jobId, sequence);
        return false;
      }
      usage.add(results.body.length);
      progress.add(jobId, results, sequence);
      return true;
    } catch (error) {
      if (!(error instanceof MillraceError) || error.code !== "job_store_full") throw error;
      throw new MillraceError("job_store_failed", error.message, { cause: error });
    }
  }

  async results(jobId: string, index: number): Promise<ChunkResults | null> {
    if (!isId(jobId) || !Number.isSafeInteger(index) || index < 0) return null;
    const body = await this.#options.bodies.get(this.#place(jobId, index));
    if (body === null) return null;
    const fence = (await this.#entry(jobId))?.fence ?? null;
    if (fence !== null && body.sequence > fence) return null;
    return { index, ...readResultNumbers(body.numbers), body: body.bytes };
  }

  /** As far as this server has heard; false may be wrong. */
  hasResults(jobId: string, index: number): boolean {
    return this.#options.progress.has(jobId, index);
  }

  /** Of results that are stored by now. */
  async heardAll(): Promise<void> {
    await this.#options.progress.heardAll();
  }

  async tallyOf({ id, state }: StoredJob): Promise<ChunkTally> {
    const { progress } = this.#options;
    // Whoever begins a chunk says so in the job first: no consumer is made to hear of nothing.
    return state === "queued" ? progress.heardOf(id) : await progress.tally(id);
  }

  async nextUndone(jobId: string, fromChunk: number): Promise<number> {
    const job = await this.#entry(jobId);
    if (job === null) return fromChunk;
    const tally = await this.#options.progress.tally(jobId);
    return tally.nextUndone(fromChunk, job.chunks);
  }

  /** The job of this request key, and the key as it was read: only what was read may be replaced. */
  async #madeBefore({ owner, requestKey }: Pick<NewJob, "owner" | "requestKey">): Promise<{
    readonly job: FoundRecord<KeptJob> | null;
    readonly keyRevision: number;
  }> {
    if (requestKey === null) return { job: null, keyRevision: 0 };
    const key = await this.#options.records.get("key", keyToken(owner, requestKey));
    // Its maker may have died between the key and the job.
    const job = key?.record.is === "key" ? await this.#make(key.record.job) : null;
    return { job, keyRevision: key?.revision ?? 0 };
  }

  /** The key holds the whole job: whoever comes second makes it, if who came first did not live to. */
  async #claimKey(job: NewJob, record: KeptJob): Promise<FoundRecord<KeptJob> | null> {
    const { owner, requestKey, requestKeyUntilMs } = job;
    if (requestKey === null) return null;
    const { records, index } = this.#options;
    const id = keyToken(owner, requestKey);
    const untilMs = requestKeyUntilMs ?? Number.MAX_SAFE_INTEGER;
    for (;;) {
      const { job: other, keyRevision } = await this.#madeBefore(job);
      if (other !== null) return other;
      const key = { is: "key", job: record, untilMs } as const;
      const revision = await records.put({ kind: "key", id, expected: keyRevision }, key);
      if (revision === null) continue;
      index.apply("key", id, { record: key, revision });
      return null;
    }
  }

  async #forgetKey({ id, owner, requestKey }: Pick<NewJob, "id" | "owner" | "requestKey">) {
    if (requestKey === null) return;
    const { records, index } = this.#options;
    const token = keyToken(owner, requestKey);
    const found = await records.get("key", token);
    if (found?.record.is !== "key" || found.record.job.job.id !== id) return;
    await records.erase(found.revision);
    index.keys.delete(token);
    await records.touch();
  }

  /** The job as it is, if it was made before; null: it is deleted. */
  async #make(record: KeptJob): Promise<FoundRecord<KeptJob> | null> {
    const { id } = record.job;
    const revision = await this.#options.records.put({ kind: "job", id, expected: 0 }, record);
    if (revision === null) return await this.#find(id);
    const made = { record, revision };
    this.#apply(id, made);
    return made;
  }

  /** Null: somebody was faster. */
  async #put(found: FoundRecord<KeptJob>, record: KeptJob): Promise<FoundRecord<KeptJob> | null> {
    const { id } = record.job;
    const next = { ...record, sequence: record.sequence ?? found.revision };
    const at = { kind: "job", id, expected: found.revision } as const;
    const revision = await this.#options.records.put(at, next);
    if (revision === null) return null;
    const made = { record: next, revision };
    this.#apply(id, made);
    return made;
  }

  async #find(id: string): Promise<FoundRecord<KeptJob> | null> {
    if (!isId(id)) return null;
    const found = await this.#options.records.get("job", id);
    if (found !== null) this.#apply(id, found);
    if (found?.record.is !== "job") return null;
    const { record, revision } = found;
    return await this.#options.progress.sealed({ record, revision });
  }

  /** From memory; a job that was made a moment ago elsewhere is asked for. */
  async #entry(jobId: string): Promise<JobEntry | null> {
    const { index } = this.#options;
    if (!index.jobs.has(jobId) && !index.gone.has(`job.${jobId}`)) await this.#find(jobId);
    return index.jobs.get(jobId) ?? null;
  }

  /** Results that came behind the fence. */
  async #takeAway(jobId: string, sequence: number): Promise<void> {
    const { session, names, records, bodies } = this.#options;
    await session.run(({ jsm }) => jsm.streams.deleteMessage(names.results, sequence, false));
    const job = await records.get("job", jobId);
    if (job?.record.is !== "job") await bodies.removeParts(jobId);
  }

  #place(jobId: string, index: number): BodyPlace {
    const { names } = this.#options;
    return { stream: names.results, subject: names.result(jobId, index), ownerId: jobId };
  }

  #stored({ record, revision }: FoundRecord<KeptJob>): StoredJob {
    const progress = this.#options.progress.progress(record);
    return { ...record.job, sequence: record.sequence ?? revision, progress };
  }

  #apply(id: string, found: FoundRecord): void {
    if (this.#options.index.apply("job", id, found) !== null) this.#options.onChanged(id, "job");
  }
}
