/**
 * Large requests are prepared in one worker thread, so that the event loop stays free for everybody else.
 *
 *   here                               thread
 *     │ ──────── start: inputs ─────────►│   kept, not begun; some at a time
 *     │ ──────── next ──────────────────►│
 *     │ ◄─────── portion, done? ─────────│   some milliseconds of work
 *     │ ──────── drop ──────────────────►│   when the caller left
 *
 * At most one portion is asked for at a time, so the line decides here, each time, whose it is: a realtime work waits for
 * one portion and never for a job. Those that wait hold nothing in the thread but the inputs of one message each, and
 * those only once they have begun; how many there can be is bounded by admission, in front of this.
 *
 * The thread starts with the first work. When it dies, every work goes on where it was in a new one; the one whose portion
 * it was is suspected, then run one input at a time, and the input under which a thread dies twice fails.
 */
import { Worker } from "node:worker_threads";
import { MillraceError } from "millrace-client/wire";
import { type Clock, systemClock } from "../../work/clock.js";
import { messageOf } from "../../work/thrown.js";
import { isHeavy, Line } from "../line.js";
import type { ThreadReply, ThreadRequest } from "./messages.js";
import { ThreadWork, type ThreadWorkOptions } from "./thread-work.js";

export interface PrepareThreadOptions {
  /** The module that a thread runs; it ends in `servePrepareThread`. */
  readonly entry: URL;
  /** What the module needs for all models, as its `workerData`. */
  readonly data: unknown;
  /** What it opens each model from, when the first work of that comes. */
  readonly models: ReadonlyMap<string, unknown>;
  /** Of the thread's own heap. An input that takes more ends the thread and not the server. Default: 1 GiB. */
  readonly memoryBytesMax?: number;
  /** A portion that takes longer ends the thread. Default: 10,000. */
  readonly portionMsMax?: number;
  /** The same of opening a model. Default: 60,000. */
  readonly openMsMax?: number;
  readonly clock?: Clock;
}

/** Threads in a row that end before they are ready. */
const startsMax = 2;
/** After a portion of a heavy work the thread rests so many times as long, where somebody is served meanwhile. */
const restsPerPortion = 2;
/** Also behind a short one: who sends pages in a row is slowed down by it, and a sentence is not. */
const restMsMin = 40;
const restMsMax = 100;
/** So long after a light request somebody is being served. */
const servingMs = 1_000;

/** The thread cannot prepare for the model: whoever has it open does that. */
export class NotOpened extends Error {}

type State = "none" | "starting" | "ready";

export class PrepareThread implements AsyncDisposable {
  readonly #options: PrepareThreadOptions;
  readonly #clock: Clock;
  #models: ReadonlyMap<string, unknown>;
  /** Those that the present thread was told to open. */
  readonly #told = new Set<string>();
  /** The one that it is opening. */
  #opening: string | null = null;
  readonly #works = new Map<number, ThreadWork>();
  readonly #line = new Line<ThreadWork>();
  /** Whose portion the thread works on; it may be over already. */
  #asked: ThreadWork | null = null;
  #askedAtMs = 0;
  #stopWatch: () => void = () => {};
  /** Ends the rest; null: no heavy work has to wait. */
  #stopRest: (() => void) | null = null;
  #lightAtMs = Number.NEGATIVE_INFINITY;
  #worker: Worker | null = null;
  #state: State = "none";
  /** Why the present thread ends, if it does. */
  #reason = "";
  #failedStarts = 0;
  #lastWorkId = 0;
  #closed = false;

  constructor(options: PrepareThreadOptions) {
    this.#options = options;
    this.#models = options.models;
    this.#clock = options.clock ?? systemClock;
  }

  /**
   * Resolves when all inputs of the request are prepared. Rejects with what its budget throws, with the signal's reason
   * as soon as it aborts, with `worker_lost` where no thread can start, `item_poison` where too many die under it, with
   * `NotOpened` where the thread cannot open the model, for instance because its folder is of another version now.
   */
  async run(
    work: Omit<ThreadWorkOptions, "workId" | "data" | "finish" | "fail">,
    signal: AbortSignal,
  ): Promise<void> {
    if (this.#closed) throw stopped();
    signal.throwIfAborted();
    this.#lastWorkId += 1;
    const workId = this.#lastWorkId;
    const onAbort = (): void => this.#end(workId, signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      await new Promise<void>((finish, fail) => {
        const data = this.#models.get(work.request.model);
        const added = new ThreadWork({ ...work, workId, data, finish, fail });
        this.#works.set(workId, added);
        this.#line.add(added);
        this.#askNext();
      });
    } finally {
      signal.removeEventListener("abort", onAbort);
      this.#works.delete(workId);
      this.#forgetUnused();
      // An idle thread must not keep the process alive.
      if (this.#works.size === 0 && !this.#closed) this.#worker?.unref();
    }
  }

  /** Other models from now on; the thread keeps what it has open, and of those that are gone what still has work. */
  replaceModels(models: ReadonlyMap<string, unknown>): void {
    this.#models = models;
    this.#forgetUnused();
  }

  #forgetUnused(): void {
    const gone = [...this.#told].filter((model) => !this.#models.has(model));
    if (gone.length === 0) return;
    const used = new Set([...this.#works.values()].map(({ model }) => model.name));
    for (const model of gone) {
      if (used.has(model)) continue;
      this.#told.delete(model);
      if (this.#worker !== null) post(this.#worker, { type: "forget", model });
    }
  }

  /** A light request came, and is prepared beside the thread: from now on heavy works leave its core time to others. */
  lightCame(): void {
    this.#lightAtMs = this.#clock.now();
  }

  /** Ends the thread; works in it fail with `draining`. A second call does nothing. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#stopWatch();
    this.#stopRest?.();
    for (const workId of this.#works.keys()) this.#end(workId, stopped());
    // Whoever closes waits for the end, so the thread keeps the process alive until then.
    this.#worker?.ref();
    await this.#worker?.terminate();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** The one step after every event: whose portion is next, if there is a thread that is free. */
  #askNext(): void {
    if (this.#closed || this.#works.size === 0) return;
    const worker = this.#worker ?? this.#start();
    worker.ref();
    if (this.#state !== "ready" || this.#asked !== null) return;
    const work = this.#stopRest === null ? this.#line.next() : this.#line.nextLight();
    if (work === undefined) return;
    this.#asked = work;
    this.#askedAtMs = this.#clock.now();
    const { name: model, data } = work.model;
    if (!this.#told.has(model)) {
      this.#told.add(model);
      this.#opening = model;
      post(worker, { type: "open", model, data });
    }
    if (!work.isStarted) post(worker, work.start());
    post(worker, { type: "next", workId: work.workId, alone: work.alone });
    this.#watch(worker);
  }

  #start(): Worker {
    const { entry, data, memoryBytesMax = 1024 ** 3 } = this.#options;
    const worker = new Worker(entry, {
      workerData: data,
      name: "prepare",
      resourceLimits: { maxOldGenerationSizeMb: Math.ceil(memoryBytesMax / 1024 ** 2) },
    });
    this.#reason = "it ended by itself";
    worker.on("message", (reply: ThreadReply) => {
      if (worker !== this.#worker) return;
      if (reply.type === "opened") this.#opened(worker);
      else this.#onReply(reply);
    });
    worker.on("error", (error) => {
      if (worker !== this.#worker) return;
      this.#reason = messageOf(error);
    });
    worker.on("exit", () => {
      if (worker === this.#worker) this.#onExit(this.#reason);
    });
    this.#worker = worker;
    this.#state = "starting";
    return worker;
  }

  #watch(worker: Worker): void {
    const { portionMsMax = 10_000, openMsMax = 60_000 } = this.#options;
    const [what, ms] =
      this.#opening === null ? ["one portion", portionMsMax] : ["opening the model", openMsMax];
    this.#stopWatch = this.#clock.after(ms, () => {
      this.#reason = `${what} took more than ${ms} ms`;
      void worker.terminate();
    });
  }

  /** The portion that was asked for begins now. */
  #opened(worker: Worker): void {
    this.#stopWatch();
    this.#opening = null;
    this.#watch(worker);
  }

  #onReply(reply: Exclude<ThreadReply, { readonly type: "opened" }>): void {
    if (reply.type === "ready") {
      this.#state = "ready";
      this.#failedStarts = 0;
      this.#askNext();
      return;
    }
    const work = this.#answered();
    if (work !== null && isHeavy(work)) this.#rest();
    if (work === null || work.isOver) {
      // Its caller left while the thread was at it.
    } else if (reply.type === "refused") {
      this.#end(work.workId, new NotOpened(reply.reason));
    } else {
      try {
        if (reply.type === "counted") work.count(reply.pieces, reply.done);
        else work.add(reply.portion, reply.done);
        if (!work.isOver) this.#line.add(work);
      } catch (error) {
        // Too many pieces: what the thread has of it is forgotten there too.
        this.#end(work.workId, error);
      }
    }
    this.#askNext();
  }

  /** A page of a million sentences would else take a core from the pipelines, to be refused or to wait in the queue. */
  #rest(): void {
    const nowMs = this.#clock.now();
    if (this.#stopRest !== null || nowMs - this.#lightAtMs > servingMs) return;
    const longMs = (nowMs - this.#askedAtMs) * restsPerPortion;
    const restMs = Math.min(restMsMax, Math.max(restMsMin, longMs));
    this.#stopRest = this.#clock.after(restMs, () => {
      this.#stopRest = null;
      this.#askNext();
    });
  }

  #answered(): ThreadWork | null {
    this.#stopWatch();
    const work = this.#asked;
    this.#asked = null;
    return work;
  }

  #onExit(reason: string): void {
    const wasReady = this.#state === "ready";
    const wasOpening = this.#opening !== null;
    this.#opening = null;
    this.#told.clear();
    this.#worker = null;
    this.#state = "none";
    const suspect = this.#answered();
    for (const work of this.#works.values()) work.lostThread();
    if (!wasReady) this.#failedStarts += 1;
    if (this.#failedStarts >= startsMax) {
      this.#failedStarts = 0;
      const message = `the prepare thread ended ${startsMax} times before it was ready: ${reason}`;
      for (const workId of this.#works.keys()) {
        this.#end(workId, new MillraceError("worker_lost", message));
      }
    }
    // It died of the model, and not of an input.
    if (suspect !== null && wasOpening) this.#end(suspect.workId, new NotOpened(reason));
    else if (suspect !== null && !suspect.isOver) this.#suspect(suspect, reason);
    this.#askNext();
  }

  #suspect(work: ThreadWork, reason: string): void {
    try {
      work.died(reason);
      if (!work.isOver) this.#line.add(work);
    } catch (error) {
      this.#end(work.workId, error);
    }
  }

  /** The work fails; nothing of it is kept here or there. A second call does nothing. */
  #end(workId: number, error: unknown): void {
    const work = this.#works.get(workId);
    if (work === undefined || work.isOver) return;
    work.isOver = true;
    this.#line.remove(work);
    if (work.isStarted && this.#worker !== null) post(this.#worker, { type: "drop", workId });
    work.fail(error);
  }
}

function stopped(): MillraceError {
  return new MillraceError("draining", "the prepare thread was stopped");
}

function post(worker: Worker, request: ThreadRequest): void {
  worker.postMessage(request);
}
