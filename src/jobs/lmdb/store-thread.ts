/** The thread of the store as the loop sees it: writes in a line, one transaction under way; reads beside it. */
import { Worker } from "node:worker_threads";
import { MillraceError } from "millrace-client/wire";
import type { Log } from "../../log.js";
import { messageOf } from "../../work/thrown.js";
import type { JobListener } from "../store.js";
import type { CallReply, Read, StoreReply, StoreRequest, Write } from "./calls.js";
import { errorOf, thrownError } from "./thrown-error.js";

interface Waiting {
  readonly write: Write;
  /** What to write instead, now: before all others. Null: it is done. */
  readonly again: (value: unknown) => Write | null;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: unknown) => void;
}

/** Of one transaction: more of them make no commit faster, and hold up reads. */
const writesMax = 256;
const writtenBytesMax = 4 * 1024 ** 2;

export interface StoreThreadOptions {
  readonly path: string;
  readonly bytesMax: number;
  readonly log: Log;
}

export class StoreThread {
  readonly #worker: Worker;
  readonly #log: Log;
  readonly #listeners = new Set<JobListener>();
  readonly #reads = new Map<number, Pick<Waiting, "resolve" | "reject">>();
  #waiting: Waiting[] = [];
  #underWay: readonly Waiting[] = [];
  #lastRead = 0;
  /** Why there is no thread any more. */
  #end: MillraceError | null = null;
  #onClosed: ((isWhole: boolean) => void) | null = null;
  bytes: number;
  /** When it was opened. */
  readonly isUnswept: boolean;

  /** @throws MillraceError `data_invalid` */
  static async open(options: StoreThreadOptions): Promise<StoreThread> {
    const { path, bytesMax } = options;
    const worker = new Worker(new URL("./thread.js", import.meta.url), {
      workerData: { path, bytesMax },
      name: "jobs",
    });
    const reply = await firstReply(worker);
    if (reply.type === "opened") return new StoreThread(worker, reply, options.log);
    await worker.terminate();
    const error = errorOf(reply.type === "refused" ? reply.error : thrownError(reply.type));
    const code = error.code === "job_store_full" ? error.code : "data_invalid";
    throw new MillraceError(code, `${path} cannot be opened: ${error.message}`);
  }

  private constructor(
    worker: Worker,
    { bytes, isUnswept }: Extract<StoreReply, { type: "opened" }>,
    log: Log,
  ) {
    this.#worker = worker;
    this.#log = log;
    this.bytes = bytes;
    this.isUnswept = isUnswept;
    worker.on("message", (reply: StoreReply) => this.#onReply(reply));
    worker.on("error", (error) => this.#onEnd(messageOf(error)));
    worker.on("exit", () => this.#onEnd("it ended"));
  }

  /** On disk when it resolves. @throws MillraceError */
  async write(write: Write, again: Waiting["again"] = () => null): Promise<unknown> {
    return await new Promise((resolve, reject) => {
      this.#waiting.push({ write, again, resolve, reject });
      this.#next();
    });
  }

  /** @throws MillraceError */
  async read(read: Read): Promise<unknown> {
    return await new Promise((resolve, reject) => {
      if (this.#end !== null) return reject(this.#end);
      this.#lastRead += 1;
      this.#reads.set(this.#lastRead, { resolve, reject });
      this.#post({ type: "read", id: this.#lastRead, read });
    });
  }

  onJobChanged(listener: JobListener): () => void {
    const own: JobListener = (jobId, what) => listener(jobId, what);
    this.#listeners.add(own);
    return () => void this.#listeners.delete(own);
  }

  /** What was asked before is done. True: the file is closed as it should be. */
  async close(): Promise<boolean> {
    if (this.#end !== null) return false;
    return await new Promise<boolean>((resolve) => {
      this.#onClosed = resolve;
      this.#next();
    });
  }

  #next(): void {
    if (this.#end !== null) return this.#failAll(this.#end);
    if (this.#underWay.length > 0) return;
    if (this.#waiting.length === 0) {
      if (this.#onClosed !== null) this.#post({ type: "close" });
      return;
    }
    const count = countOf(this.#waiting);
    this.#underWay = this.#waiting.slice(0, count);
    this.#waiting = this.#waiting.slice(count);
    this.#post({ type: "write", writes: this.#underWay.map(({ write }) => write) });
  }

  #onReply(reply: StoreReply): void {
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
      case "closed":
        this.#end = new MillraceError("job_store_failed", "the store is closed");
        this.#failAll(this.#end);
        this.#onClosed?.(true);
        return;
      case "opened":
      case "refused":
    }
  }

  #onWritten(replies: readonly CallReply[]): void {
    const done = this.#underWay;
    this.#underWay = [];
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

  #onEnd(reason: string): void {
    if (this.#end !== null) return;
    this.#log.error({ reason }, "the store of durable jobs has ended; start the server again");
    this.#end = new MillraceError("job_store_failed", `the thread of the store failed: ${reason}`);
    this.#failAll(this.#end);
    this.#onClosed?.(false);
  }

  #failAll(error: MillraceError): void {
    const waiting = [...this.#underWay, ...this.#waiting, ...this.#reads.values()];
    this.#underWay = [];
    this.#waiting = [];
    this.#reads.clear();
    for (const { reject } of waiting) reject(error);
  }

  #tell(jobId: string): void {
    for (const listener of this.#listeners) listener(jobId, "job");
  }

  #post(request: StoreRequest): void {
    this.#worker.postMessage(request);
  }
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

function settle({ resolve, reject }: Pick<Waiting, "resolve" | "reject">, reply: CallReply): void {
  if ("value" in reply) resolve(reply.value);
  else reject(errorOf(reply.error));
}
