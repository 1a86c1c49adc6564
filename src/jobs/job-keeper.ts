/**
 * READ SECOND, after store.ts: what becomes of a job. Whatever happened (a commit, a cancel, a deadline, a restart), one step looks at
 * the job as it is in the store and does what is due; it may be taken again at any time, and is, every second, for all open jobs.
 *
 *   validating ─► queued ─► in_progress ─► finalizing ─► completed
 *        │           │           │ all chunks have results
 *        │           │           ├─ deadline ─► what runs is left ─► expired
 *        │           └───────────┴─ cancel ─► cancelling ─► what runs is left ─► cancelled
 *        └─ lines that cannot be run ─► failed ◄─ the key is gone
 */
import { randomUUID } from "node:crypto";
import { MillraceError, type WireError } from "millrace-client/wire";
import type { Log } from "../log.js";
import type { ChunkQueue } from "./chunk-queue.js";
import { resultLines } from "./derived-lines.js";
import type { JobsClock } from "./jobs-clock.js";
import type { Paces } from "./pace.js";
import {
  type DerivedFile,
  hasEnded,
  type JobLineError,
  type JobStore,
  type StoredCaller,
  type StoredJob,
} from "./store.js";
import { validate } from "./validate.js";

export interface KeeperOptions {
  readonly store: JobStore;
  readonly queue: ChunkQueue;
  readonly clock: JobsClock;
  readonly paces: Paces;
  readonly log: Log;
  /** Whoever asked for it has no key any more. */
  readonly isRevoked: (caller: StoredCaller) => boolean;
  /** It has ended, now or before the server started. */
  readonly onEnded: (job: StoredJob) => void;
  /** It had ended, by whomever, when it was looked at. Maybe often. */
  readonly onSeenEnded: (job: StoredJob) => void;
}

export interface Runs {
  isRunning(jobId: string): boolean;
  leave(jobId: string): void;
}

const sweepMs = 1_000;
/** Sweeps between two looks at what has expired, and between two that keep the time. */
const sweepsPerCleaning = 60;
const sweepsPerKeptTime = 5;

function countedBy(jobs: readonly StoredJob[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { state } of jobs) counts.set(state, (counts.get(state) ?? 0) + 1);
  return counts;
}

/** A chunk that was left in the middle has results and is not done: its job is over. */
function hasAllResults({ progress, chunks, lines }: StoredJob): boolean {
  return progress.chunks >= chunks && progress.succeeded + progress.failed >= lines;
}

const keyRevoked = new MillraceError("unauthenticated", "The key was revoked.").toWire();

type FinalState = "completed" | "failed" | "cancelled" | "expired";

export class JobKeeper {
  readonly #options: KeeperOptions;
  #runs: Runs = { isRunning: () => false, leave: () => {} };
  /** Jobs whose step is due. */
  readonly #due = new Set<string>();
  #stepping: Promise<void> | null = null;
  readonly #validating = new Map<string, AbortController>();
  #validations: Promise<void> = Promise.resolve();
  #open: ReadonlyMap<string, number> = new Map();
  #sweeps = 0;
  #timer: NodeJS.Timeout | null = null;
  #isStopped = false;
  #stopListening = (): void => {};

  constructor(options: KeeperOptions) {
    this.#options = options;
  }

  /** Jobs that have not ended, by state, some time ago. */
  get open(): ReadonlyMap<string, number> {
    return this.#open;
  }

  /** Takes up whatever has not ended. */
  async start(runs: Runs): Promise<void> {
    this.#runs = runs;
    const { store } = this.#options;
    this.#stopListening = store.onJobChanged((id) => this.touch(id));
    if (store.reason() === null) await this.#sweep();
    else this.#sweepIn(sweepMs);
  }

  /** Its step is due. */
  touch(jobId: string): void {
    this.#due.add(jobId);
    this.#stepOn();
  }

  #stepOn(): void {
    if (this.#isStopped || this.#due.size === 0) return;
    this.#stepping ??= this.#stepAll().finally(() => {
      this.#stepping = null;
      // Between its last look and now more may have come.
      this.#stepOn();
    });
  }

  /** Nothing of it can be run any more. */
  async refuse(jobId: string, error: WireError): Promise<void> {
    const job = await this.#options.store.job(jobId);
    if (job === null || hasEnded(job)) return;
    this.#runs.leave(jobId);
    await this.#end(job, "failed", [error]);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#stopListening();
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const each of this.#validating.values()) each.abort(new Error("the server stops"));
    await this.#stepping;
    await this.#validations;
  }

  #sweepIn(ms: number): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => void this.#sweep(), ms);
    this.#timer.unref();
  }

  async #sweep(): Promise<void> {
    const { store, clock, log } = this.#options;
    // It says so itself, and is looked through as soon as it is there.
    if (store.reason() !== null) return this.#sweepIn(sweepMs);
    const beganMs = performance.now();
    let everyMs = sweepMs;
    try {
      if (this.#sweeps === 0) clock.notBefore(await store.keptTimeMs());
      const open = await store.openJobs();
      this.#open = countedBy(open);
      for (const { id, deadlineAtMs } of open) {
        this.touch(id);
        const leftMs = deadlineAtMs === null ? sweepMs : deadlineAtMs - clock.now();
        if (leftMs > 0) everyMs = Math.min(everyMs, leftMs);
      }
      if (this.#sweeps % sweepsPerKeptTime === 0) await store.keepTimeMs(clock.now());
      if (this.#sweeps % sweepsPerCleaning === 0) {
        const removed = await store.removeExpired(clock.now());
        if (removed > 0) log.info({ removed }, "jobs and files whose time was over are removed");
      }
      this.#sweeps += 1;
    } catch (error) {
      log.error({ err: error }, "jobs: the store cannot be looked through; trying again");
      return this.#sweepIn(sweepMs);
    }
    // Of very many jobs a look takes long: most of the time is for something else.
    const tookMs = performance.now() - beganMs;
    this.#sweepIn(Math.max(everyMs, 20 * tookMs));
  }

  async #stepAll(): Promise<void> {
    const { store, log } = this.#options;
    for (const id of this.#due) {
      this.#due.delete(id);
      if (this.#isStopped) return;
      try {
        const job = await store.job(id);
        if (job !== null) await this.#step(job);
        else this.#runs.leave(id);
      } catch (error) {
        // The next sweep takes it up again.
        log.error({ err: error, job: id }, "jobs: a job's state could not be kept; trying again");
      }
    }
  }

  async #step(job: StoredJob): Promise<void> {
    const { clock, queue, store, isRevoked } = this.#options;
    // Maybe by another server: whatever runs of it here is for nothing.
    if (hasEnded(job)) {
      this.#runs.leave(job.id);
      return this.#options.onSeenEnded(job);
    }
    if (job.state === "cancelling") return await this.#leave(job, "cancelled");
    const isLate = job.deadlineAtMs !== null && clock.now() >= job.deadlineAtMs;
    const isDone = job.state !== "validating" && hasAllResults(job);
    if (isLate && !isDone) return await this.#leave(job, "expired");
    if (!isDone && isRevoked(job.caller)) return await this.refuse(job.id, keyRevoked);
    if (job.state === "validating") return this.#validate(job);
    if (!isDone) return await queue.offer(job);
    if (job.state !== "finalizing") {
      const finalizing = await store.changeJob(job.id, (now) =>
        hasEnded(now) || now.state === "cancelling"
          ? null
          : { state: "finalizing", finalizingAtMs: clock.now() },
      );
      if (finalizing?.state !== "finalizing") return;
    }
    await this.#end(job, "completed");
  }

  /**
   * Ends it when nothing of it is run any more, here or on another server: what was done is committed then. Each server that runs some
   * hears of it as this one does; whoever is the last to leave ends it, or the next sweep of any.
   */
  async #leave(job: StoredJob, state: FinalState): Promise<void> {
    const { queue } = this.#options;
    await queue.withdraw(job);
    this.#validating.get(job.id)?.abort(new Error("the job is over"));
    if (this.#runs.isRunning(job.id)) return this.#runs.leave(job.id);
    if (await queue.isHeld(job)) return;
    // Results that others committed until then are in it.
    await this.#end((await this.#options.store.job(job.id)) ?? job, state);
  }

  /** One after the other, behind this step: it may take minutes. */
  #validate(job: StoredJob): void {
    if (this.#validating.has(job.id)) return;
    const abort = new AbortController();
    this.#validating.set(job.id, abort);
    const { store, log } = this.#options;
    this.#validations = this.#validations.then(async () => {
      try {
        if (abort.signal.aborted) return;
        const errors = await validate(store, job, abort.signal);
        if (errors.length > 0) await this.#end(job, "failed", errors);
        else {
          await store.changeJob(job.id, ({ state }) =>
            state === "validating" ? { state: "queued" } : null,
          );
        }
      } catch (error) {
        if (!abort.signal.aborted) log.error({ err: error, job: job.id }, "jobs: not validated");
      } finally {
        this.#validating.delete(job.id);
        this.touch(job.id);
      }
    });
  }

  /** Again: nothing. */
  async #end(
    job: StoredJob,
    state: FinalState,
    errors: readonly JobLineError[] = [],
  ): Promise<void> {
    const { store, queue, clock, paces, onEnded } = this.#options;
    const endedAtMs = clock.now();
    const expiresAtMs = endedAtMs + job.keptMs;
    const files = await this.#filesOf({ ...job, state }, { endedAtMs, expiresAtMs });
    const idOf = (which: "output" | "error"): string | null =>
      files.find(({ of }) => of?.which === which)?.id ?? null;
    const ended = await store.changeJob(
      job.id,
      (now) => {
        // Somebody else has ended it, or its results have become more.
        if (hasEnded(now) || now.progress.chunks !== job.progress.chunks) return null;
        if (state === "failed" && errors.length === 0) return null;
        return {
          state,
          endedAtMs,
          expiresAtMs,
          errors,
          outputFileId: idOf("output"),
          errorFileId: idOf("error"),
        };
      },
      files,
    );
    if (ended === null || !hasEnded(ended)) return this.touch(job.id);
    await queue.withdraw(ended);
    paces.ended(job.id);
    if (ended.state === state && ended.endedAtMs === endedAtMs) onEnded(ended);
  }

  /** Of a job of requests; others have their results by line. */
  async #filesOf(
    job: StoredJob,
    { endedAtMs, expiresAtMs }: { readonly endedAtMs: number; readonly expiresAtMs: number },
  ): Promise<readonly DerivedFile[]> {
    if (job.form.kind !== "requests") return [];
    const sums = { output: { lines: 0, bytes: 0 }, error: { lines: 0, bytes: 0 } };
    if (job.state === "cancelled" || job.state === "expired") {
      for await (const { isError, json } of resultLines(this.#options.store, {
        ...job,
        endedAtMs,
      })) {
        const sum = sums[isError ? "error" : "output"];
        sum.lines += 1;
        sum.bytes += Buffer.byteLength(json) + 1;
      }
    } else {
      const { succeeded, failed, outputBytes, errorBytes } = job.progress;
      sums.output = { lines: succeeded, bytes: outputBytes };
      sums.error = { lines: failed, bytes: errorBytes };
    }
    return (["output", "error"] as const)
      .filter((which) => sums[which].lines > 0)
      .map((which) => ({
        id: `file-${randomUUID().replaceAll("-", "")}`,
        owner: job.owner,
        name: `${job.id}_${which}.jsonl`,
        purpose: "batch_output",
        createdAtMs: endedAtMs,
        expiresAtMs,
        isInternal: false,
        ...sums[which],
        of: { jobId: job.id, which },
      }));
  }
}
