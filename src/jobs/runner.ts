/**
 * Takes chunks and runs them, so many at once that no pipeline waits for the next, and never more than a constant: a job of ten
 * million lines is no more in memory than one of ten thousand. It decides nothing of a job's state (job-keeper.ts does).
 *
 *   queue ─► take ─► read lines ─► ChunkRun ─► commit(results, progress) ─► done
 *                                     └─ not to the end ─► give back, or commit the part (the job is over)
 */
import { setMaxListeners } from "node:events";
import type { WireError } from "millrace-client/wire";
import type { Log } from "../log.js";
import type { Caller } from "../work/caller.js";
import { within } from "../work/within.js";
import type { ChunkQueue, TakenChunk } from "./chunk-queue.js";
import { encodeResults } from "./chunk-results.js";
import { type ChunkEnd, ChunkRun } from "./chunk-run.js";
import type { CallRoute } from "./jobs.js";
import type { JobsClock } from "./jobs-clock.js";
import { failure } from "./line-calls.js";
import { linesInChunk } from "./line-chunks.js";
import { inputLost, type LostChunks, lineLost, lostChunks, unlessLost } from "./lost-lines.js";
import { Patience } from "./patience.js";
import type { Chunk, ChunkResults, JobStore, StoredJob } from "./store.js";

export interface RunnerOptions {
  readonly store: JobStore;
  readonly queue: ChunkQueue;
  readonly callRoute: CallRoute;
  readonly clock: JobsClock;
  readonly log: Log;
  /** Lines that are run at once, as long as they are not more than one chunk. */
  readonly linesMax: number;
  /** Of one call of a route. */
  readonly timeoutMs: number;
  /** Something of the job has changed that its state may follow. */
  readonly onChange: (jobId: string) => void;
  /** Nothing of it can be run any more. */
  readonly onRefused: (jobId: string, error: WireError) => void;
}

/** Of chunks that are in memory at once, with what their results take beside them. */
const inFlight = { chunksMax: 256, bytesMax: 16 * 1024 * 1024 };
/** Where the store could not be read or written. */
const storeRetryMs = 1_000;

interface BegunChunk {
  readonly chunk: Chunk;
  readonly taken: TakenChunk;
  readonly running: Running;
}

interface Running {
  readonly lines: number;
  readonly bytes: number;
  readonly abort: AbortController;
}

export class JobRunner {
  readonly #options: RunnerOptions;
  readonly #running = new Map<string, Set<Running>>();
  readonly #taking = new AbortController();
  #loop: Promise<void> | null = null;
  readonly #patience = new Patience();
  #lines = 0;
  #bytes = 0;
  #chunks = 0;
  readonly #kept = { commits: 0, commitMs: 0, done: 0, failed: 0 };
  /** Chunks whose results wait for the store: as many as may be in hand say so once. */
  #unkept = 0;
  #room: () => void = () => {};
  #idle: () => void = () => {};

  constructor(options: RunnerOptions) {
    this.#options = options;
  }

  start(): void {
    this.#loop ??= this.#takeAll();
  }

  get chunksInFlight(): number {
    return this.#chunks;
  }

  /** Since the start. `commitMs`: what the commits took together, each from its first try on. */
  get kept(): Readonly<Record<"commits" | "commitMs" | "done" | "failed", number>> {
    return this.#kept;
  }

  /** Whether anything of it is being run here. */
  isRunning(jobId: string): boolean {
    return this.#running.has(jobId);
  }

  /** What of it is being run is left within one batch, and what was done by then is committed. */
  leave(jobId: string): void {
    for (const each of this.#running.get(jobId) ?? []) each.abort.abort();
  }

  /** Somebody asks after it, or it has changed: what is not to be run any more is left. */
  async look(jobId: string): Promise<void> {
    if (!this.isRunning(jobId)) return;
    const job = await this.#options.store.job(jobId);
    if (job === null || !this.#mayRun(job)) this.leave(jobId);
  }

  /** Takes nothing any more; what was begun goes on. */
  drain(): void {
    this.#taking.abort(new Error("the runner takes no more"));
    this.#room();
  }

  /** Waits so long for what was begun, then leaves it: it is run again. True: nothing was left. */
  async stop({ drainMs }: { readonly drainMs: number }): Promise<boolean> {
    this.drain();
    const isDone = await within(drainMs, this.whenIdle());
    for (const id of this.#running.keys()) this.leave(id);
    await this.whenIdle();
    await this.#loop;
    return isDone;
  }

  /** Nothing is being run. */
  async whenIdle(): Promise<void> {
    while (this.#chunks > 0) {
      await new Promise<void>((resolve) => {
        const others = this.#idle;
        this.#idle = () => {
          others();
          resolve();
        };
      });
    }
  }

  async #takeAll(): Promise<void> {
    const { signal } = this.#taking;
    while (!signal.aborted) {
      try {
        await this.#hasRoom();
        const taken = await this.#options.queue.take(signal);
        await this.#begin(taken);
      } catch (error) {
        if (signal.aborted) break;
        this.#options.log.error({ err: error }, "jobs: no chunk could be taken; trying again");
        await new Promise((resolve) => setTimeout(resolve, storeRetryMs));
      }
    }
  }

  async #hasRoom(): Promise<void> {
    const { linesMax } = this.#options;
    const isFull = (): boolean =>
      this.#lines >= linesMax ||
      this.#bytes >= inFlight.bytesMax ||
      this.#chunks >= inFlight.chunksMax;
    while (isFull() && !this.#taking.signal.aborted) {
      await new Promise<void>((resolve) => {
        this.#room = resolve;
      });
    }
  }

  /** Reads it, and leaves it to itself. */
  async #begin(taken: TakenChunk): Promise<void> {
    const { store } = this.#options;
    if (this.#taking.signal.aborted) return await taken.giveBack(0);
    const { jobId, index } = taken;
    let chunk: Chunk | "lost" | null;
    try {
      const job = await store.job(jobId);
      if (job === null || !this.#mayRun(job)) {
        await taken.done();
        return this.#options.onChange(jobId);
      }
      chunk = await unlessLost(store.chunk(job.fileId, index));
      if (chunk === "lost" || chunk === null) return await this.#withoutInput(job, taken, chunk);
    } catch (error) {
      await taken.giveBack(storeRetryMs);
      throw error;
    }
    const abort = new AbortController();
    // Each line of a batch is a call that listens.
    setMaxListeners(0, abort.signal);
    const running = { lines: chunk.lines, bytes: chunk.bytes.length, abort };
    this.#add(jobId, running);
    void this.#run({ chunk, taken, running }).finally(() => this.#remove(jobId, running));
  }

  /** Its lines cannot be run, now or later: that is their result. Where all of the input is gone nothing of the job can be run. */
  async #withoutInput(job: StoredJob, taken: TakenChunk, what: "lost" | null): Promise<void> {
    const { store, log, onRefused } = this.#options;
    const { jobId, index } = taken;
    if ((await store.nextUndone(jobId, index)) !== index) return await taken.done();
    const lost = what === null ? null : await lostChunks(store, job, index);
    if (lost === null) {
      log.error({ job: jobId, chunk: index }, "jobs: the input of a job is damaged or gone");
      onRefused(jobId, inputLost);
      return await taken.giveBack(storeRetryMs);
    }
    log.error({ job: jobId, ...lost }, "jobs: lines of a job's input are damaged or gone");
    await this.#started(job);
    for (const results of lostResults(job, lost)) await this.#commit(jobId, results);
    await taken.done();
    this.#options.onChange(jobId);
  }

  #mayRun(job: StoredJob): boolean {
    if (job.state !== "queued" && job.state !== "in_progress") return false;
    // It is about to be failed.
    if (job.errors.length > 0) return false;
    return job.deadlineAtMs === null || this.#options.clock.now() < job.deadlineAtMs;
  }

  #add(jobId: string, running: Running): void {
    const all = this.#running.get(jobId) ?? new Set();
    all.add(running);
    this.#running.set(jobId, all);
    this.#lines += running.lines;
    this.#bytes += running.bytes;
    this.#chunks += 1;
  }

  #remove(jobId: string, running: Running): void {
    const all = this.#running.get(jobId);
    all?.delete(running);
    if (all?.size === 0) this.#running.delete(jobId);
    this.#lines -= running.lines;
    this.#bytes -= running.bytes;
    this.#chunks -= 1;
    this.#room();
    if (this.#chunks === 0) this.#idle();
    this.#options.onChange(jobId);
  }

  async #run({ chunk, taken, running }: BegunChunk): Promise<void> {
    const { store, callRoute, timeoutMs, log } = this.#options;
    const { jobId } = taken;
    try {
      // Only now, when whoever cancels it knows that it is running.
      const job = await store.job(jobId);
      if (job === null || !this.#mayRun(job)) return await taken.done();
      // Handed out again though it is done: the word of that was lost, or the results, which are counted all the same.
      const isDone =
        taken.mayBeDone && (await unlessLost(store.results(jobId, taken.index))) !== null;
      if (isDone) return await taken.done();
      await this.#started(job);
      const lines = linesInChunk(chunk).map(({ text }) => text);
      const { index, firstLine } = chunk;
      const caller = callerOf(job);
      const options = { caller, callRoute, timeoutMs };
      const run = new ChunkRun({ job, index, firstLine, texts: lines }, options);
      const end = await run.run(running.abort.signal);
      await this.#ended(job, { chunk, taken, end });
    } catch (error) {
      log.error({ err: error, job: jobId, chunk: taken.index }, "jobs: a chunk is run again");
      await taken.giveBack(this.#patience.later(jobId, storeRetryMs)).catch(() => undefined);
    }
  }

  async #started(job: StoredJob): Promise<void> {
    const { store, clock } = this.#options;
    if (job.state !== "queued") return;
    await store.changeJob(job.id, ({ state, startedAtMs }) =>
      state === "queued" ? { state: "in_progress", startedAtMs: startedAtMs ?? clock.now() } : null,
    );
  }

  async #ended(
    job: StoredJob,
    { chunk, taken, end }: Pick<BegunChunk, "chunk" | "taken"> & { readonly end: ChunkEnd },
  ): Promise<void> {
    const { store, onRefused } = this.#options;
    switch (end.kind) {
      case "later":
        return await taken.giveBack(this.#patience.later(job.id, end.afterMs));
      case "refused":
        onRefused(job.id, end.error);
        // Until that is kept nothing of the job is done.
        return await taken.giveBack(storeRetryMs);
      case "left": {
        const now = await store.job(job.id);
        // The server stops: whoever goes on with the job runs the chunk again, to the same results.
        if (now !== null && this.#mayRun(now)) return await taken.giveBack(0);
        break;
      }
      case "whole":
    }
    if (end.kind === "whole" || end.outcomes.length > 0) {
      await this.#commit(job.id, encodeResults(chunk, end.outcomes));
    }
    await taken.done();
  }

  /** As often as it takes: what was computed is not computed again because a disk was full for a while. */
  async #commit(jobId: string, results: ChunkResults): Promise<void> {
    const { store, log } = this.#options;
    const beganAtMs = performance.now();
    let isWaiting = false;
    try {
      for (;;) {
        try {
          if (await store.commit(jobId, results)) {
            this.#kept.commits += 1;
            this.#kept.commitMs += performance.now() - beganAtMs;
            this.#kept.done += results.succeeded;
            this.#kept.failed += results.failed;
          }
          this.#patience.ran(jobId);
          return;
        } catch (error) {
          if (this.#taking.signal.aborted) throw error;
          if (!isWaiting) this.#unkept += 1;
          if (!isWaiting && this.#unkept === 1) {
            log.error({ err: error, job: jobId }, "jobs: results cannot be kept; trying again");
          }
          isWaiting = true;
          await new Promise((resolve) => setTimeout(resolve, storeRetryMs));
        }
      }
    } finally {
      if (isWaiting) this.#unkept -= 1;
      if (isWaiting && this.#unkept === 0) log.info("jobs: no results wait to be kept any more");
    }
  }
}

/** All lines are the first chunk's: how many each of them had is not known. */
function* lostResults(
  job: StoredJob,
  { from, to, firstLine, lines }: LostChunks,
): Generator<ChunkResults> {
  const texts: readonly string[] = [];
  const of = { job, index: from, firstLine, texts };
  const all = Array.from({ length: lines }, (_, place) => failure(of, place, lineLost));
  yield encodeResults({ index: from, firstLine }, all);
  for (let index = from + 1; index < to; index += 1) {
    yield encodeResults({ index, firstLine: firstLine + lines }, []);
  }
}

function callerOf({ caller, tenant }: StoredJob): Caller {
  return { ...caller, jobTenant: tenant };
}
