/**
 * The thread of the store as the loop sees it: writes in a line, one transaction under way; reads beside it. One that ends is opened
 * again, for as long as the server lives.
 *
 *   open ─► ended ─► opened again, after longer and longer waits ─► open
 *             └─ new work fails: whoever sent it sends it again, or not │ the rest waits, a bounded time, and is done then
 */
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { MillraceError } from "millrace-client/wire";
import type { Log } from "../../log.js";
import { messageOf } from "../../work/thrown.js";
import type { JobListener } from "../store.js";
import {
  type CallReply,
  isNewWork,
  type Read,
  type StoreReply,
  type StoreRequest,
  type Write,
} from "./calls.js";
import type { DamagedValue } from "./tables.js";
import { errorOf, thrownError } from "./thrown-error.js";

interface Settled {
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

interface Waiting extends Settled {
  readonly write: Write;
  /** What to write instead, now: before all others. Null: it is done. */
  readonly again: (value: unknown) => Write | null;
  /** Threads that ended while it was under way. */
  readonly ends: number;
}

interface Reading extends Settled {
  readonly read: Read;
  readonly ends: number;
}

/** Of one transaction: more of them make no commit faster, and hold up reads. */
const writesMax = 256;
const writtenBytesMax = 4 * 1024 ** 2;
/** What was under way when so many threads ended may be what ends them. */
const endsMax = 2;
/** How long what is asked waits for a thread that is opened again. */
const waitMsMax = 10_000;
const reopenMs = { first: 100, most: 10_000 };

export interface StoreThreadOptions {
  readonly path: string;
  readonly bytesMax: number;
  readonly log: Log;
  /** Within which a thread that is asked answers, or is taken to be stuck. */
  readonly answerMsMax: number;
}

interface OpenedThread {
  readonly worker: Worker;
  readonly bytes: number;
  readonly isUnswept: boolean;
  readonly damaged: readonly DamagedValue[];
}

export class StoreThread {
  readonly #options: StoreThreadOptions;
  readonly #listeners = new Set<JobListener>();
  #reads = new Map<number, Reading>();
  #waiting: Waiting[] = [];
  #underWay: readonly Waiting[] = [];
  /** The thread has writes that it has not answered, whether or not anybody waits for them still: its next answer is theirs. */
  #isWriting = false;
  #lastRead = 0;
  /** Null: it has ended, and is being opened again. */
  #worker: Worker | null = null;
  /** Why there is no thread just now. */
  #reason: string | null = null;
  /** What is asked fails at once: it is closed, or away for long. */
  #refusal: MillraceError | null = null;
  /** While an answer is awaited. */
  #silence: NodeJS.Timeout | null = null;
  readonly #closing = new AbortController();
  #reopening: Promise<void> = Promise.resolve();
  #onClosed: ((isWhole: boolean) => void) | null = null;
  /** There is something hidden to be removed; set by whoever removes it. */
  onUnswept: () => void = () => {};
  bytes: number;
  /** When it was opened. */
  readonly isUnswept: boolean;

  /** @throws MillraceError `data_invalid` */
  static async open(options: StoreThreadOptions): Promise<StoreThread> {
    return new StoreThread(options, await openedThread(options));
  }

  private constructor(options: StoreThreadOptions, opened: OpenedThread) {
    this.#options = options;
    this.bytes = opened.bytes;
    this.isUnswept = opened.isUnswept;
    this.#use(opened);
  }

  /** Why it cannot be used just now; null: it can. */
  get reason(): string | null {
    return this.#reason;
  }

  /** On disk when it resolves. @throws MillraceError */
  async write(write: Write, again: Waiting["again"] = () => null): Promise<unknown> {
    return await new Promise((resolve, reject) => {
      if (this.#refusal !== null) return reject(this.#refusal);
      if (this.#worker === null && isNewWork(write)) return reject(this.#failed());
      this.#waiting.push({ write, again, resolve, reject, ends: 0 });
      this.#next();
    });
  }

  /** @throws MillraceError */
  async read(read: Read): Promise<unknown> {
    return await new Promise((resolve, reject) => {
      if (this.#refusal !== null) return reject(this.#refusal);
      this.#read({ read, resolve, reject, ends: 0 });
    });
  }

  onJobChanged(listener: JobListener): () => void {
    const own: JobListener = (jobId, what) => listener(jobId, what);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  /** What was asked before is done. True: the file is closed as it should be. */
  async close(): Promise<boolean> {
    this.#closing.abort();
    // A thread that does not answer is waited for no more than one that is gone.
    if (this.#worker === null || this.#refusal !== null) {
      this.#refuseAll(closedError());
      await this.#reopening;
      return false;
    }
    return await new Promise<boolean>((resolve) => {
      this.#onClosed = resolve;
      this.#next();
    });
  }

  #use({ worker, bytes, damaged }: OpenedThread): void {
    this.#tellDamaged(damaged);
    this.#worker = worker;
    this.#isWriting = false;
    this.#reason = null;
    this.#refusal = null;
    this.bytes = bytes;
    worker.on("message", (reply: StoreReply) => this.#onReply(reply));
    worker.on("error", (error) => this.#onEnd(worker, messageOf(error)));
    worker.on("exit", () => this.#onEnd(worker, "it ended"));
  }

  #next(): void {
    if (this.#worker === null || this.#isWriting) return;
    if (this.#waiting.length === 0) {
      if (this.#onClosed !== null) this.#post({ type: "close" });
      return;
    }
    const count = countOf(this.#waiting);
    this.#underWay = this.#waiting.slice(0, count);
    this.#waiting = this.#waiting.slice(count);
    this.#isWriting = true;
    this.#post({ type: "write", writes: this.#underWay.map(({ write }) => write) });
  }

  #read(reading: Reading): void {
    this.#lastRead += 1;
    this.#reads.set(this.#lastRead, reading);
    this.#post({ type: "read", id: this.#lastRead, read: reading.read });
  }

  /**
   * LMDB's binding never lets a thread end that is ended within a transaction, and nobody else can write then: that much cannot be
   * mended from here, but it is told, and nobody waits for it.
   */
  #onSilence(): void {
    const { answerMsMax, log } = this.#options;
    this.#reason = `the thread of the store has not answered for ${answerMsMax} ms`;
    log.error(
      { reason: this.#reason },
      "durable jobs are away; if they stay so, start the server again",
    );
    this.#refuseAll(this.#failed());
    this.#onClosed?.(false);
  }

  #await(): void {
    if (this.#silence !== null) clearTimeout(this.#silence);
    const isAsked = this.#isWriting || this.#reads.size > 0 || this.#onClosed !== null;
    this.#silence =
      isAsked && this.#worker !== null && this.#refusal === null
        ? setTimeout(() => this.#onSilence(), this.#options.answerMsMax)
        : null;
  }

  #onReply(reply: StoreReply): void {
    this.#onAnswer();
    this.#handle(reply);
    this.#await();
  }

  #onAnswer(): void {
    if (this.#refusal === null) return;
    this.#reason = null;
    this.#refusal = null;
    this.#options.log.info({}, "the store of durable jobs answers again");
  }

  #handle(reply: StoreReply): void {
    switch (reply.type) {
      case "written":
        this.bytes = reply.bytes;
        this.#onWritten(reply.replies);
        for (const jobId of reply.changedJobs) this.#tell(jobId);
        return;
      case "read": {
        const read = this.#reads.get(reply.id);
        this.#reads.delete(reply.id);
        if (read !== undefined) settle(read, reply.reply);
        return;
      }
      case "damaged":
        this.#tellDamaged(reply.values);
        return;
      case "closed":
        this.#worker = null;
        this.#refuseAll(closedError());
        this.#onClosed?.(true);
        return;
      case "opened":
      case "refused":
    }
  }

  #onWritten(replies: readonly CallReply[]): void {
    const done = this.#underWay;
    this.#underWay = [];
    this.#isWriting = false;
    const first: Waiting[] = [];
    for (const [index, waiting] of done.entries()) {
      const reply = replies[index] ?? { error: thrownError("the thread gave no reply") };
      const write = "value" in reply ? again(waiting, reply.value) : null;
      if (write === null) settle(waiting, reply);
      else first.push({ ...waiting, write });
    }
    this.#waiting.unshift(...first);
    this.#next();
  }

  /** What was under way may be done or not. Asked again it does no harm, but for new work, which its sender may send again. */
  #onEnd(worker: Worker, reason: string): void {
    if (this.#worker !== worker) return;
    this.#worker = null;
    this.#await();
    this.#reason = `the thread of the store failed: ${reason}`;
    if (this.#closing.signal.aborted) {
      this.#refuseAll(this.#failed());
      this.#onClosed?.(false);
      return;
    }
    this.#options.log.error({ reason }, "the store of durable jobs has ended; it is opened again");
    const ended = <Each extends { readonly ends: number }>(each: Each): Each => {
      return { ...each, ends: each.ends + 1 };
    };
    const all = [...this.#underWay.map(ended), ...this.#waiting];
    const mayWait = ({ write, ends }: Waiting): boolean => !isNewWork(write) && ends < endsMax;
    const reads = [...this.#reads.values()].map(ended);
    const failed = [...all.filter((each) => !mayWait(each)), ...reads.filter(isWorn)];
    this.#underWay = [];
    this.#waiting = all.filter(mayWait);
    this.#reads = new Map();
    for (const { reject } of failed) reject(this.#failed());
    // Asked when there is a thread again.
    for (const read of reads) if (!isWorn(read)) this.#read(read);
    this.#reopening = this.#reopen();
  }

  async #reopen(): Promise<void> {
    const { log, path } = this.#options;
    const { signal } = this.#closing;
    const timer = setTimeout(() => this.#refuseAll(this.#failed()), waitMsMax);
    for (let ms = reopenMs.first; ; ms = Math.min(2 * ms, reopenMs.most)) {
      await delay(ms, undefined, { signal }).catch(() => {});
      if (signal.aborted) return clearTimeout(timer);
      try {
        const opened = await openedThread(this.#options);
        clearTimeout(timer);
        if (signal.aborted) return void (await opened.worker.terminate());
        this.#use(opened);
        log.info({ path }, "the store of durable jobs is open again");
        for (const [id, { read }] of this.#reads) this.#post({ type: "read", id, read });
        this.#next();
        if (opened.isUnswept) this.onUnswept();
        return;
      } catch (error) {
        this.#reason = messageOf(error);
        log.error({ reason: this.#reason }, "the store of durable jobs cannot be opened again yet");
      }
    }
  }

  #failed(): MillraceError {
    return new MillraceError("job_store_failed", this.#reason ?? "the store is away");
  }

  /** From now on, until there is a thread. */
  #refuseAll(error: MillraceError): void {
    this.#refusal = error;
    const waiting = [...this.#underWay, ...this.#waiting, ...this.#reads.values()];
    this.#underWay = [];
    this.#waiting = [];
    this.#reads.clear();
    for (const { reject } of waiting) reject(error);
  }

  #tellDamaged(values: readonly DamagedValue[]): void {
    const message =
      "what the jobs' folder says of this is damaged: it is left alone, and all else goes on. Put a copy of the folder in its place, or submit the job again";
    for (const value of values) this.#options.log.error(value, message);
  }

  #tell(jobId: string): void {
    for (const listener of this.#listeners) listener(jobId, "job");
  }

  /** Where there is no thread it is posted when there is one. */
  #post(request: StoreRequest): void {
    this.#worker?.postMessage(request);
    if (this.#silence === null) this.#await();
  }
}

function isWorn({ ends }: { readonly ends: number }): boolean {
  return ends >= endsMax;
}

function closedError(): MillraceError {
  return new MillraceError("job_store_failed", "the store is closed");
}

/** @throws MillraceError `data_invalid` */
async function openedThread({ path, bytesMax }: StoreThreadOptions): Promise<OpenedThread> {
  const worker = new Worker(new URL("./thread.js", import.meta.url), {
    workerData: { path, bytesMax },
    name: "jobs",
  });
  const reply = await firstReply(worker);
  if (reply.type === "opened") return { worker, ...reply };
  await worker.terminate();
  const error = errorOf(reply.type === "refused" ? reply.error : thrownError(reply.type));
  const code = error.code === "job_store_full" ? error.code : "data_invalid";
  throw new MillraceError(code, `${path} cannot be opened: ${error.message}`);
}

async function firstReply(worker: Worker): Promise<StoreReply> {
  const told = new AbortController();
  const reply = new Promise<StoreReply>((resolve) => {
    const refused = (error: unknown): void =>
      resolve({ type: "refused", error: thrownError(error) });
    const onExit = (): void => refused("the thread ended");
    worker.once("message", resolve).once("error", refused).once("exit", onExit);
    told.signal.addEventListener("abort", () => {
      worker.off("message", resolve).off("error", refused).off("exit", onExit);
    });
  });
  return await reply.finally(() => told.abort());
}

function countOf(waiting: readonly Waiting[]): number {
  let bytes = 0;
  let count = 0;
  for (const { write } of waiting) {
    bytes += bytesOf(write);
    if (count > 0 && (bytes > writtenBytesMax || count >= writesMax)) break;
    count += 1;
  }
  return count;
}

function bytesOf(write: Write): number {
  if (write.name === "addChunk") return write.args[1].bytes.byteLength;
  return write.name === "commit" ? write.args[1].body.byteLength : 0;
}

/** What it throws is its caller's, who has no use for the reply then. */
function again(waiting: Waiting, value: unknown): Write | null {
  try {
    return waiting.again(value);
  } catch (error) {
    waiting.reject(error);
    return null;
  }
}

function settle({ resolve, reject }: Settled, reply: CallReply): void {
  if ("value" in reply) resolve(reply.value);
  else reject(errorOf(reply.error));
}
