/**
 * Large requests are tokenised in one worker thread, so that the event loop stays free for everybody else.
 *
 *   here                               thread
 *     │ ──────── start: texts ──────────►│   kept, not begun
 *     │ ──────── next ──────────────────►│
 *     │ ◄─────── steps, done? ───────────│   until it is done
 *     │ ──────── drop ──────────────────►│   when the caller left
 *
 * The thread starts with the first job. When it dies, its jobs begin again in a new one, once.
 */
import { Worker } from "node:worker_threads";
import { MillraceError } from "millrace-client/wire";
import type { ModelFolder } from "../models/registry.js";
import type { PreparedText } from "./prepared.js";
import { type PrepareStep, type StepSettings, TextCollector } from "./steps.js";

export interface ThreadJob {
  readonly model: string;
  readonly texts: readonly string[];
  readonly settings: StepSettings & { readonly firstIndex: number };
}

export type ThreadRequest =
  | ({ readonly type: "start"; readonly jobId: number } & ThreadJob)
  | { readonly type: "next"; readonly jobId: number }
  | { readonly type: "drop"; readonly jobId: number };

export interface ThreadReply {
  readonly jobId: number;
  readonly steps: readonly PrepareStep[];
  readonly done: boolean;
}

interface RunningJob {
  readonly job: ThreadJob;
  readonly attempt: number;
  collector: TextCollector;
  readonly finish: (texts: readonly PreparedText[]) => void;
  readonly fail: (error: unknown) => void;
}

/** Times that a job may begin. */
const attemptsMax = 2;

export class TokenizerThread implements AsyncDisposable {
  readonly #models: readonly ModelFolder[];
  readonly #jobsMax: number;
  readonly #jobs = new Map<number, RunningJob>();
  #lastJobId = 0;
  #worker: Worker | null = null;
  #closed = false;

  constructor(models: readonly ModelFolder[], jobsMax: number) {
    this.#models = models;
    this.#jobsMax = jobsMax;
  }

  get runningJobs(): number {
    return this.#jobs.size;
  }

  /**
   * Throws `queue_full`, or `worker_lost` where the thread died twice under the job. Rejects with the signal's
   * reason when it aborts.
   */
  async run(job: ThreadJob, signal: AbortSignal): Promise<readonly PreparedText[]> {
    if (this.#closed) throw new MillraceError("draining", "the tokenizer thread was stopped");
    signal.throwIfAborted();
    if (this.#jobs.size >= this.#jobsMax) {
      const message = `${this.#jobsMax} large requests are being tokenised already`;
      throw new MillraceError("queue_full", message);
    }
    this.#lastJobId += 1;
    const jobId = this.#lastJobId;
    const onAbort = () => this.#drop(jobId, signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await new Promise((finish, fail) => {
        this.#begin(jobId, { job, attempt: 1, collector: new TextCollector(), finish, fail });
      });
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#jobs.delete(jobId);
      // An idle thread must not keep the process alive.
      if (this.#jobs.size === 0 && !this.#closed) this.#worker?.unref();
    }
  }

  /** Ends the thread; jobs in it fail with `draining`. A second call does nothing. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const { fail } of this.#jobs.values()) {
      fail(new MillraceError("draining", "the tokenizer thread was stopped"));
    }
    this.#jobs.clear();
    // Whoever closes waits for the end, so the thread keeps the process alive until then.
    this.#worker?.ref();
    await this.#worker?.terminate();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #begin(jobId: number, running: RunningJob): void {
    this.#jobs.set(jobId, running);
    const worker = this.#worker ?? this.#start();
    worker.ref();
    post(worker, { type: "start", jobId, ...running.job });
    post(worker, { type: "next", jobId });
  }

  #start(): Worker {
    const worker = new Worker(new URL("tokenizer-thread-entry.js", import.meta.url), {
      workerData: this.#models,
      name: "tokenizer",
    });
    let reason = "it ended by itself";
    worker.on("message", (reply: ThreadReply) => this.#onReply(worker, reply));
    worker.on("error", (error) => {
      reason = error instanceof Error ? error.message : String(error);
    });
    worker.on("exit", () => this.#onExit(worker, reason));
    this.#worker = worker;
    return worker;
  }

  #onReply(worker: Worker, { jobId, steps, done }: ThreadReply): void {
    const running = this.#jobs.get(jobId);
    if (running === undefined || worker !== this.#worker) return;
    for (const step of steps) running.collector.add(step);
    if (done) running.finish(running.collector.texts);
    else post(worker, { type: "next", jobId });
  }

  #onExit(worker: Worker, reason: string): void {
    if (this.#worker === worker) this.#worker = null;
    for (const [jobId, running] of this.#jobs) {
      if (running.attempt >= attemptsMax) {
        const message = `the tokenizer thread died ${attemptsMax} times: ${reason}`;
        running.fail(new MillraceError("worker_lost", message));
        continue;
      }
      const attempt = running.attempt + 1;
      this.#begin(jobId, { ...running, attempt, collector: new TextCollector() });
    }
  }

  #drop(jobId: number, reason: unknown): void {
    const running = this.#jobs.get(jobId);
    if (running === undefined) return;
    if (this.#worker !== null) post(this.#worker, { type: "drop", jobId });
    running.fail(reason);
  }
}

function post(worker: Worker, request: ThreadRequest): void {
  worker.postMessage(request);
}
