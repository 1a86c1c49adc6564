/**
 * What was counted for a key and never run is given back, when its job has ended: cancelled, expired, failed. Whoever ends the job, here
 * or elsewhere, writes down how much that is (`owed`), in the same step; the server that counted gives it back, once.
 *
 *   ended, owed: 900 ─► this server counted it ─► owed: null in the store ─► its key has used 900 less
 *
 * A server that dies in between has given nothing back: a quota that was granted twice would be worse.
 */
import { setTimeout as sleep } from "node:timers/promises";
import type { Access, KeyAmount } from "../access/access.js";
import type { Log } from "../log.js";
import { allJobs } from "./all-jobs.js";
import { decodeResults } from "./chunk-results.js";
import { amountOfChunk, amountOfLine, nothing, sumOf } from "./line-amount.js";
import { linesInChunk } from "./line-chunks.js";
import { unlessLost } from "./lost-lines.js";
import type { Chunk, JobStore, StoredJob } from "./store.js";

/**
 * Of a job as it ends, with the results that it has by then. Null: nothing. Of lines whose input or results are lost nobody knows how
 * much it was: they stay counted, and the job ends.
 *
 * @throws MillraceError `job_store_failed`
 */
export async function owedOf(
  store: Pick<JobStore, "chunk" | "results">,
  { id, fileId, receipt, lines, chunks, progress }: StoredJob,
): Promise<KeyAmount | null> {
  const done = progress.succeeded + progress.failed;
  if (receipt === null || done >= lines) return null;
  const { inputs, characters } = receipt;
  if (progress.chunks === 0) return { inputs, characters };
  // An input a line: nobody need look at them. Characters limit nothing.
  if (inputs === lines) {
    const left = lines - done;
    return { inputs: left, characters: Math.floor((characters * left) / lines) };
  }
  let owed = nothing;
  for (let index = 0; index < chunks; index += 1) {
    const chunk = await unlessLost(store.chunk(fileId, index));
    if (chunk === null) break;
    const left = chunk === "lost" ? chunk : await unlessLost(leftOf(store, id, chunk));
    if (left !== "lost") owed = sumOf(owed, left);
  }
  return {
    inputs: Math.min(owed.inputs, inputs),
    characters: Math.min(owed.characters, characters),
  };
}

/** Of a chunk: what has no result. @throws MillraceError `job_data_lost`, `job_store_failed` */
async function leftOf(
  store: Pick<JobStore, "results">,
  jobId: string,
  chunk: Chunk,
): Promise<KeyAmount> {
  const results = await store.results(jobId, chunk.index);
  if (results === null) return amountOfChunk(chunk);
  if (results.lines >= chunk.lines) return nothing;
  const had = new Set(decodeResults(results).map(({ place }) => place));
  const left = linesInChunk(chunk).filter((_, place) => !had.has(place));
  return left.map(({ text }) => amountOfLine(text)).reduce(sumOf, nothing);
}

type MadeOrNot = Pick<StoredJob, "id" | "owner" | "requestKey">;

export interface KeyReturnsOptions {
  readonly store: Pick<JobStore, "job" | "requestedJob" | "jobs" | "changeJob">;
  readonly keys: Pick<Access, "giveBack" | "hasCounted">;
  readonly log: Log;
  /** Where the store could not be read or written. Default: five seconds. */
  readonly retryMs?: number;
}

/** Jobs that are at it at once. */
const returningMax = 256;

export class KeyReturns {
  readonly #options: KeyReturnsOptions;
  readonly #stopping = new AbortController();
  /** Jobs whose key is being given back something. */
  readonly #returning = new Set<string>();
  /** What the store has not answered yet. */
  readonly #working = new Set<Promise<void>>();
  #looking: Promise<void> = Promise.resolve();
  /** Some that ended were too many at once: they are looked up when the others are done. */
  #hasMore = false;

  constructor(options: KeyReturnsOptions) {
    this.#options = options;
  }

  /** Finds what ended while this server was down: one after the other. */
  start(): void {
    this.#hasMore = false;
    this.#looking = this.#often(async () => {
      for await (const job of allJobs(this.#options.store)) {
        if (this.#stopping.signal.aborted) return;
        if (this.#owes(job)) await this.#return(job.id);
      }
    });
  }

  /** Of one that owes nothing, or that others counted: nothing. */
  ended(job: StoredJob): void {
    const { id } = job;
    if (!this.#owes(job) || this.#returning.has(id)) return;
    if (this.#returning.size >= returningMax) {
      this.#hasMore = true;
      return;
    }
    this.#returning.add(id);
    this.#begin(async () => {
      await this.#return(id);
      this.#returning.delete(id);
      if (this.#returning.size === 0 && this.#hasMore) this.start();
    });
  }

  /** The store failed as the job was made: whether it is there is asked until it is known, and where it is not, all is given back. */
  unsure({ id, owner, requestKey }: MadeOrNot, giveBack: () => void): void {
    const { store } = this.#options;
    this.#begin(async () => {
      // Under a key it may be half made: then this makes it.
      const job =
        requestKey === null ? await store.job(id) : await store.requestedJob(owner, requestKey);
      if (job?.id !== id) giveBack();
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all([this.#looking, ...this.#working]);
  }

  #owes({ owed, receipt }: StoredJob): boolean {
    return owed !== null && receipt !== null && this.#options.keys.hasCounted(receipt);
  }

  #begin(work: () => Promise<void>): void {
    const done = this.#often(work).finally(() => this.#working.delete(done));
    this.#working.add(done);
  }

  async #return(id: string): Promise<void> {
    const { store, keys } = this.#options;
    let owed: KeyAmount | null = null;
    const job = await store.changeJob(id, (now) => {
      owed = now.owed;
      return owed === null ? null : { owed: null };
    });
    if (job === null || job.receipt === null || owed === null) return;
    const { receipt, progress } = job;
    // Others may have committed some in the moment in which the job ended: each line was one input at least.
    const leftMax = Math.max(0, receipt.inputs - progress.succeeded - progress.failed);
    const { inputs, characters }: KeyAmount = owed;
    keys.giveBack(receipt, { inputs: Math.min(inputs, leftMax), characters });
  }

  /** As often as it takes, while the server runs. */
  async #often(work: () => Promise<void>): Promise<void> {
    const { log, retryMs = 5_000 } = this.#options;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        return await work();
      } catch (error) {
        if (signal.aborted) return;
        log.error({ err: error }, "jobs: what a key is owed could not be kept; trying again");
        await sleep(retryMs, undefined, { signal, ref: false }).catch(() => {});
      }
    }
  }
}
