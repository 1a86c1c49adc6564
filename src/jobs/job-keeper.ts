/**
 * READ SECOND, after store.ts: what becomes of a job. Whatever happened (a commit, a cancel, a deadline, a restart), one step looks at
 * the job as it is in the store and does what is due; it may be taken again at any time, and is, every second, where something is due.
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
import { owedOf } from "./key-returns.js";
import { OwnerTurns } from "./owner-turns.js";
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
/** A queue that has lost what it was offered is noticed by then. */
const sweepsPerLostLook = 30;
/** Of different jobs: what they write shares a sync, and a long one (the files of a large batch) holds up no other job. */
const stepsMax = 16;
/** Each takes as much memory as the ids of its lines. */
const validationsMax = 4;

function countedBy(jobs: readonly StoredJob[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { state } of jobs) counts.set(state, (counts.get(state) ?? 0) + 1);
  return counts;
}

/** A chunk that was left in the middle has results and is not done: its job is over, by its deadline or because somebody said so. */
function hasAllResults({ progress, chunks, lines, deadlineAtMs }: StoredJob): boolean {
  if (progress.chunks < chunks) return false;
  return deadlineAtMs === null || progress.succeeded + progress.failed >= lines;
}

function idsOf(files: readonly DerivedFile[]): Pick<StoredJob, "outputFileId" | "errorFileId"> {
  const idOf = (which: "output" | "error"): string | null =>
    files.find(({ of }) => of?.which === which)?.id ?? null;
  return { outputFileId: idOf("output"), errorFileId: idOf("error") };
}

const keyRevoked = new MillraceError("unauthenticated", "The key was revoked.").toWire();

type FinalState = "completed" | "failed" | "cancelled" | "expired";

export class JobKeeper {
  readonly #options: KeeperOptions;
  #runs: Runs = { isRunning: () => false, leave: () => {} };
  /** Jobs whose step is due. */
  readonly #due = new Set<string>();
  readonly #lanes = new Set<Promise<void>>();
  /** Whose step is being taken: each job has one at a time. */
  readonly #inStep = new Set<string>();
  /** Open jobs that the queue has: with thousands of them, only those are looked at again of which something is due. */
  readonly #offered = new Set<string>();
  /** Of which nothing can be run any more, and why. */
  readonly #refused = new Map<string, WireError>();
  readonly #validating = new Map<string, AbortController>();
  readonly #validations = new OwnerTurns(validationsMax);
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

  /** At all jobs, since the start. */
  get hasLooked(): boolean {
    return this.#sweeps > 0;
  }

  /** Takes up whatever has not ended. */
  async start(runs: Runs): Promise<void> {
    this.#runs = runs;
    const { store } = this.#options;
    this.#stopListening = store.onJobChanged((id, what) => {
      if (what === "job") this.touch(id);
    });
    if (store.reason() === null) await this.#sweep();
    else this.#sweepIn(sweepMs);
  }

  /** Its step is due. */
  touch(jobId: string): void {
    this.#due.add(jobId);
    this.#stepOn();
  }

  #stepOn(): void {
    if (this.#isStopped || this.#lanes.size >= stepsMax || this.#nextDue() === undefined) return;
    const lane = this.#stepAll().finally(() => {
      this.#lanes.delete(lane);
      // Between its last look and now more may have come.
      this.#stepOn();
    });
    this.#lanes.add(lane);
  }

  /** Nothing of it can be run any more: it fails, behind what is being run of it. */
  refuse(jobId: string, error: WireError): void {
    if (!this.#refused.has(jobId)) this.#refused.set(jobId, error);
    this.touch(jobId);
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#stopListening();
    if (this.#timer !== null) clearTimeout(this.#timer);
    for (const each of this.#validating.values()) each.abort(new Error("the server stops"));
    await Promise.all(this.#lanes);
    await this.#validations.stop();
  }

  #sweepIn(ms: number): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => void this.#sweep(), ms);
    this.#timer.unref();
  }

  async #sweep(): Promise<void> {
    const { store, queue, clock, log, paces } = this.#options;
    // It says so itself, and is looked through as soon as it is there.
    if (store.reason() !== null) return this.#sweepIn(sweepMs);
    const beganMs = performance.now();
    let everyMs = sweepMs;
    try {
      if (this.#sweeps === 0) clock.notBefore(await store.keptTimeMs());
      const open = await store.openJobs();
      this.#open = countedBy(open);
      this.#forgetOthers(open);
      for (const job of open) {
        paces.saw(job);
        if (this.#isDue(job)) this.touch(job.id);
        const leftMs = job.deadlineAtMs === null ? sweepMs : job.deadlineAtMs - clock.now();
        if (leftMs > 0) everyMs = Math.min(everyMs, leftMs);
      }
      if (this.#sweeps % sweepsPerLostLook === 0) {
        await queue.offerLost(open.filter((job) => this.#offered.has(job.id) && !this.#isDue(job)));
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

  /** Jobs that ended, wherever that was. */
  #forgetOthers(open: readonly StoredJob[]): void {
    const ids = new Set(open.map(({ id }) => id));
    for (const id of this.#offered) if (!ids.has(id)) this.#offered.delete(id);
    for (const id of this.#refused.keys()) if (!ids.has(id)) this.#refused.delete(id);
  }

  #gone(jobId: string): void {
    this.#refused.delete(jobId);
    this.#runs.leave(jobId);
  }

  #isDue(job: StoredJob): boolean {
    const { id, state } = job;
    const goesOn =
      state === "validating"
        ? this.#validating.has(id)
        : (state === "queued" || state === "in_progress") && this.#offered.has(id);
    if (this.#refusalOf(job) !== null) return true;
    return !goesOn || this.#isLate(job) || (state !== "validating" && hasAllResults(job));
  }

  /** Why nothing of it can be run any more, as this server knows it or as one that ran some wrote down; null: all of it can. */
  #refusalOf(job: StoredJob): WireError | null {
    if (this.#options.isRevoked(job.caller)) return keyRevoked;
    return this.#refused.get(job.id) ?? job.errors[0] ?? null;
  }

  #isLate({ deadlineAtMs }: StoredJob): boolean {
    return deadlineAtMs !== null && this.#options.clock.now() >= deadlineAtMs;
  }

  #nextDue(): string | undefined {
    for (const id of this.#due) if (!this.#inStep.has(id)) return id;
    return undefined;
  }

  async #stepAll(): Promise<void> {
    const { store, log, paces } = this.#options;
    for (let id = this.#nextDue(); id !== undefined; id = this.#nextDue()) {
      this.#due.delete(id);
      if (this.#isStopped) return;
      this.#inStep.add(id);
      try {
        const job = await store.job(id);
        if (job === null) {
          paces.gone(id);
          this.#gone(id);
        } else {
          paces.saw(job);
          await this.#step(job);
        }
      } catch (error) {
        // The next sweep takes it up again.
        log.error({ err: error, job: id }, "jobs: a job's state could not be kept; trying again");
      } finally {
        this.#inStep.delete(id);
      }
    }
  }

  async #step(job: StoredJob): Promise<void> {
    const { clock, queue, store } = this.#options;
    // Whatever it comes to; where it is offered, it is there again.
    this.#offered.delete(job.id);
    // Maybe by another server: whatever runs of it here is for nothing.
    if (hasEnded(job)) {
      this.#gone(job.id);
      return this.#options.onSeenEnded(job);
    }
    if (job.state === "cancelling") return await this.#leave(job, "cancelled");
    const isLate = this.#isLate(job);
    const isDone = job.state !== "validating" && hasAllResults(job);
    if (isLate && !isDone) return await this.#leave(job, "expired");
    const refusal = this.#refusalOf(job);
    if (!isDone && refusal !== null) return await this.#fail(job, refusal);
    if (job.state === "validating") return this.#validate(job);
    if (!isDone) {
      await queue.offer(job);
      this.#offered.add(job.id);
      return;
    }
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

  /**
   * Whole chunks that end meanwhile are kept; what is left in the middle is not, because nothing says yet that the job is over. What other
   * servers have in hand is not waited for: they may not know why it must end.
   */
  async #fail(job: StoredJob, error: WireError): Promise<void> {
    await this.#options.queue.withdraw(job);
    this.#validating.get(job.id)?.abort(new Error("the job is over"));
    if (this.#runs.isRunning(job.id)) return this.#runs.leave(job.id);
    await this.#end((await this.#options.store.job(job.id)) ?? job, "failed", [error]);
  }

  /** Behind this step: it may take minutes, and whoever asks for a hundred of them holds up only their own. */
  #validate(job: StoredJob): void {
    if (this.#validating.has(job.id)) return;
    const abort = new AbortController();
    this.#validating.set(job.id, abort);
    const { store, log } = this.#options;
    this.#validations.add(JSON.stringify([job.owner, job.tenant]), async () => {
      try {
        if (abort.signal.aborted) return;
        const errors = await validate(store, job, abort.signal);
        if (errors.length > 0) await this.#end(job, "failed", errors);
        else {
          await store.changeJob(job.id, ({ state }) =>
            state === "validating" ? { state: "queued" } : null,
          );
        }
        this.touch(job.id);
      } catch (error) {
        // The next sweep takes it up again, and not this turn: the store may be away for long.
        if (!abort.signal.aborted) log.error({ err: error, job: job.id }, "jobs: not validated");
      } finally {
        this.#validating.delete(job.id);
      }
    });
  }

  /** Again: nothing. */
  async #end(
    job: StoredJob,
    state: FinalState,
    errors: readonly JobLineError[] = [],
  ): Promise<void> {
    const { store, queue, clock, onEnded } = this.#options;
    const owed = await owedOf(store, job);
    const endedAtMs = clock.now();
    const expiresAtMs = endedAtMs + job.keptMs;
    const files = await this.#filesOf({ ...job, state, errors }, { endedAtMs, expiresAtMs });
    let isEndedHere = false;
    const ended = await store.changeJob(
      job.id,
      (now) => {
        // Somebody else has ended it, or its results have become more.
        isEndedHere = !hasEnded(now) && now.progress.chunks === job.progress.chunks;
        if (!isEndedHere || (state === "failed" && errors.length === 0)) return null;
        return {
          state,
          endedAtMs,
          expiresAtMs,
          errors,
          ...idsOf(files),
          owed,
        };
      },
      files,
    );
    if (ended === null || !hasEnded(ended)) return this.touch(job.id);
    const hasMore = ended.progress.chunks !== job.progress.chunks;
    const isOther = isEndedHere && hasMore && job.form.kind === "requests";
    const told = isOther ? await this.#retold(ended, files) : ended;
    await queue.withdraw(told);
    if (isEndedHere) onEnded(told);
  }

  /** Others have committed more in the moment in which it ended: of its files that say how large they are there are others instead. */
  async #retold(ended: StoredJob, before: readonly DerivedFile[]): Promise<StoredJob> {
    const { store, clock } = this.#options;
    const { endedAtMs, expiresAtMs } = ended;
    const now = clock.now();
    const times = { endedAtMs: endedAtMs ?? now, expiresAtMs: expiresAtMs ?? now };
    const files = await this.#filesOf(ended, times);
    const told = await store.changeJob(ended.id, () => idsOf(files), files);
    for (const { id } of before) await store.deleteFile(id);
    return told ?? ended;
  }

  /** Of a job of requests; others have their results by line. */
  async #filesOf(
    job: StoredJob,
    { endedAtMs, expiresAtMs }: { readonly endedAtMs: number; readonly expiresAtMs: number },
  ): Promise<readonly DerivedFile[]> {
    if (job.form.kind !== "requests") return [];
    const sums = { output: { lines: 0, bytes: 0 }, error: { lines: 0, bytes: 0 } };
    if (job.state !== "completed") {
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
        amount: null,
        ...sums[which],
        of: { jobId: job.id, which },
      }));
  }
}
