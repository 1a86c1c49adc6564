/** `Jobs` in memory, for the tests of fronts: lines are "run" by reversing them, and only when a test says so. */
import { type ErrorCode, type JobStoreStatus, MillraceError } from "millrace-client/wire";
import type { JobRequest, Jobs, LineResult } from "#src/jobs/jobs.js";
import {
  freshJob,
  hasEnded,
  noProgress,
  type StoredFile,
  type StoredJob,
} from "#src/jobs/store.js";
import type { Caller } from "#src/work/caller.js";

interface Held {
  job: StoredJob;
  readonly request: JobRequest;
  readonly inputs: readonly unknown[];
  readonly results: LineResult[];
}

export class MemoryJobs implements Jobs {
  /** Thrown by the next `create`, when it has read this many lines' bytes. */
  refuseWith: { readonly code: ErrorCode; readonly afterBytes: number } | null = null;
  /** What `create` waits for when it has read the lines. */
  stored: Promise<void> = Promise.resolve();
  /** Of `watch`, that nobody has ended. */
  watchers = 0;
  readonly #held = new Map<string, Held>();
  readonly #heard = new Set<{ readonly id: string; readonly tell: (job: StoredJob) => void }>();

  status(): JobStoreStatus {
    const open = [...this.#held.values()].filter(({ job }) => !hasEnded(job)).length;
    return { state: "ok", reason: null, open, runningChunks: 0, bytes: 0, bytesMax: 0 };
  }

  async create(
    caller: Caller,
    request: JobRequest,
  ): Promise<{ readonly job: StoredJob; readonly isNew: boolean }> {
    if (!("lines" in request.input)) throw new Error("no files here");
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    for await (const piece of request.input.lines) {
      pieces.push(Buffer.from(piece));
      bytes += piece.length;
      if (this.refuseWith !== null && bytes >= this.refuseWith.afterBytes) {
        throw new MillraceError(this.refuseWith.code, "The double says no.");
      }
    }
    await this.stored;
    const lines = Buffer.concat(pieces).toString().split("\n");
    const inputs = lines
      .filter((line) => line.trim() !== "")
      .map((line) => JSON.parse(line) as unknown);
    const known = [...this.#held.values()].find(
      ({ job }) => job.requestKey !== null && job.requestKey === (request.requestKey ?? null),
    );
    if (known !== undefined) {
      if (JSON.stringify(known.inputs) === JSON.stringify(inputs)) {
        return { job: known.job, isNew: false };
      }
      throw new MillraceError("request_key_reused", "It came with other lines.");
    }
    const job = jobOf(caller, { request, lines: inputs.length, sequence: this.#held.size + 1 });
    this.#held.set(job.id, { job, request, inputs, results: [] });
    return { job, isNew: true };
  }

  async job(caller: Caller, id: string): Promise<StoredJob> {
    return this.#of(id, caller).job;
  }

  async jobs(
    caller: Caller,
    { after, limit, order }: Parameters<Jobs["jobs"]>[1],
  ): Promise<readonly StoredJob[]> {
    const all = [...this.#held.values()]
      .map(({ job }) => job)
      .filter((job) => caller.isAdmin || job.owner === caller.key);
    if (order === "desc") all.reverse();
    const at = after === undefined ? -1 : all.findIndex(({ id }) => id === after);
    if (after !== undefined && at === -1) {
      throw new MillraceError("bad_request", "There is no such job.", { param: "after" });
    }
    return all.slice(at + 1, at + 1 + limit);
  }

  async cancel(caller: Caller, id: string): Promise<StoredJob> {
    const held = this.#of(id, caller);
    if (!hasEnded(held.job)) this.#change(held, { state: "cancelled", endedAtMs: 5_000 });
    return held.job;
  }

  async remove(caller: Caller, id: string): Promise<void> {
    this.#of(id, caller);
    this.#held.delete(id);
  }

  pace(id: string): { readonly linesPerSecond: number; readonly endsInMs: number } | null {
    const job = this.#held.get(id)?.job;
    return job?.state === "in_progress" ? { linesPerSecond: 12.34, endsInMs: 60_000 } : null;
  }

  async results(
    caller: Caller,
    id: string,
    { fromLine, toLine }: { readonly fromLine: number; readonly toLine?: number },
  ): Promise<AsyncIterable<LineResult>> {
    const { results } = this.#of(id, caller);
    return iterate(results.slice(fromLine, toLine));
  }

  /** What happens between a question and the watch: no watcher hears of it. */
  beforeWatch: () => void = () => {};

  watch(id: string, onChange: (job: StoredJob) => void, signal: AbortSignal): void {
    this.beforeWatch();
    const heard = { id, tell: onChange };
    this.watchers += 1;
    this.#heard.add(heard);
    signal.addEventListener("abort", () => {
      this.watchers -= 1;
      this.#heard.delete(heard);
    });
  }

  /** Runs so many lines; the job ends with its last one. */
  step(id: string, lines: number): void {
    const held = this.#of(id);
    const { inputs, results } = held;
    for (const input of inputs.slice(results.length, results.length + lines)) {
      const line = results.length;
      const isError = typeof input !== "string" || input.startsWith("!");
      const outcome = isError
        ? { error: new MillraceError("item_failed", "It begins with a bang.").toWire() }
        : { text: Array.from(input).reverse().join("") };
      results.push({ line, isError, json: JSON.stringify({ line, ...outcome }) });
    }
    const failed = results.filter(({ isError }) => isError).length;
    const isOver = results.length === inputs.length;
    this.#change(held, {
      state: isOver ? "completed" : "in_progress",
      startedAtMs: 2_000,
      ...(isOver ? { endedAtMs: 3_000, expiresAtMs: 9_000 } : {}),
      progress: {
        ...held.job.progress,
        chunks: held.job.progress.chunks + 1,
        succeeded: results.length - failed,
        failed,
      },
    });
  }

  requestOf(id: string): JobRequest {
    return this.#of(id).request;
  }

  inputsOf(id: string): readonly unknown[] {
    return this.#of(id).inputs;
  }

  async upload(): Promise<StoredFile> {
    throw noFiles();
  }

  async file(): Promise<StoredFile> {
    throw noFiles();
  }

  async files(): Promise<readonly StoredFile[]> {
    throw noFiles();
  }

  async content(): Promise<AsyncIterable<Uint8Array>> {
    throw noFiles();
  }

  async deleteFile(): Promise<void> {
    throw noFiles();
  }

  #of(id: string, caller?: Caller): Held {
    const held = this.#held.get(id);
    const isTheirs = caller === undefined || caller.isAdmin || held?.job.owner === caller.key;
    if (held !== undefined && isTheirs) return held;
    throw new MillraceError("job_not_found", `There is no job ${id}.`);
  }

  #change(held: Held, change: Partial<StoredJob>): void {
    held.job = { ...held.job, ...change };
    for (const { id, tell } of this.#heard) if (id === held.job.id) tell(held.job);
  }
}

async function* iterate<Value>(values: readonly Value[]): AsyncGenerator<Value> {
  yield* values;
}

function noFiles(): Error {
  return new Error("no files here");
}

interface Made {
  readonly request: JobRequest;
  readonly lines: number;
  readonly sequence: number;
}

function jobOf(caller: Caller, { request, lines, sequence }: Made): StoredJob {
  const { form, tenant = "default", requestKey = null, deadlineMs = null } = request;
  return {
    id: `job-${sequence}`,
    owner: caller.key,
    requestKey,
    requestKeyUntilMs: requestKey === null ? null : 86_400_000,
    requestHash: null,
    caller,
    tenant,
    form,
    fileId: `file-${sequence}`,
    createdAtMs: 1_000,
    deadlineAtMs: deadlineMs === null ? null : 1_000 + deadlineMs,
    keptMs: 1_000,
    metadata: request.metadata ?? {},
    callbackUrl: request.callbackUrl ?? null,
    state: "queued",
    receipt: null,
    sequence,
    lines,
    chunks: 1,
    progress: noProgress,
    ...freshJob,
  };
}
