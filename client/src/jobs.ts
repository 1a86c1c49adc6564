/**
 * Durable jobs: submitted, and fetched whenever one likes, whatever died meanwhile. What is followed over time (`results`, `watch`,
 * `wait`) outlives connections and servers: it asks again, from where it was, until the server has been away for too long.
 */
import { type JobInputs, JobLines } from "./job-lines.js";
import { policyOf } from "./policy.js";
import { isRecord, readError } from "./reply.js";
import { RetryBudget, type RetryPolicy } from "./retry.js";
import { delay, Scope } from "./scope.js";
import { type ServerEvent, ServerEventParser } from "./server-events.js";
import type { Outgoing, Transport } from "./transport.js";
import { tryAgain } from "./try-again.js";
import {
  type JobDeletedReply,
  type JobRequestFields,
  type JobResult,
  type JobStatus,
  type JobsReply,
  MillraceError,
  requestKeyHeader,
} from "./wire/index.js";

interface Ended {
  readonly signal?: AbortSignal;
}

export interface JobSubmitOptions extends Omit<JobRequestFields, "texts">, Ended {
  /** Of the task, for all lines: `{ beams: 4 }`. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /**
   * Whoever submits the same with the same key, within a day, gets the job that there is. Default: made anew by each call, for its own
   * retries. 1 to 255 visible ASCII characters.
   */
  readonly requestKey?: string;
}

export interface JobListOptions extends Ended {
  /** Default: 20; at most 100. */
  readonly limit?: number;
  /** `next` of the page before. */
  readonly after?: string | null;
}

export interface JobFollowOptions extends Ended {
  /** It is given up when the server could not be reached for so long. Default: 600 000. */
  readonly awayMsMax?: number;
}

export interface JobResultsOptions extends JobFollowOptions {
  /** The first line that is wanted, from 0: how many one has already. Default: 0. */
  readonly from?: number;
  /** The line before which it ends. */
  readonly to?: number;
  /** False: what is there. Default: true, until the job has ended. */
  readonly wait?: boolean;
}

export interface ClientJobsParts {
  readonly transport: Transport;
  readonly retry: RetryPolicy;
  readonly closed: AbortSignal;
  readonly tenant: string | undefined;
  readonly headMsMax: number;
}

const followDefaults: Readonly<Record<"awayMsMax", number>> = { awayMsMax: 600_000 };

/** `client.jobs`. Everything that it throws is a `MillraceError`, but for what a caller's own source throws. */
export class ClientJobs {
  readonly #parts: ClientJobsParts;

  constructor(parts: ClientJobsParts) {
    this.#parts = parts;
  }

  /**
   * Resolves when all of it is on the server's disk. `inputs` may be of any length: what is more than some megabytes is read as it is
   * sent, and a generator, which can be read once, is then sent once: no retry.
   *
   * ```ts
   * const { id } = await client.jobs.submit(["Good morning.", "See you."], { task: "translate" });
   * for await (const { line, text, error } of client.jobs.results(id)) console.log(line, text ?? error);
   * ```
   */
  async submit(inputs: JobInputs, options: JobSubmitOptions): Promise<JobStatus> {
    const { signal, requestKey = randomKey(), settings, ...fields } = options;
    const { tenant } = this.#parts;
    const head = JSON.stringify({
      ...settings,
      ...(tenant === undefined ? {} : { tenant }),
      ...fields,
    });
    const lines = await JobLines.read(head, inputs);
    const retry = { ...this.#parts.retry, ...(lines.canRepeat ? {} : { attemptsMax: 1 }) };
    const scope = new Scope([signal, this.#parts.closed]);
    const attempt = async (): Promise<JobStatus> => {
      using sending = new Sending(scope, this.#parts.headMsMax);
      const outgoing: Outgoing = {
        path: "v1/jobs",
        accept: json,
        content: await lines.content(() => sending.goesOn()),
        headers: { [requestKeyHeader]: requestKey },
        headMsMax: Number.POSITIVE_INFINITY,
      };
      try {
        return readJob(await this.#parts.transport.json(outgoing, sending.signal));
      } catch (error) {
        throw lines.failure === null ? error : lines.failure.error;
      }
    };
    return await tryAgain(attempt, { retry, scope });
  }

  async get(id: string, options: Ended = {}): Promise<JobStatus> {
    return readJob(await this.#ask({ path: pathOf(id) }, options));
  }

  /** A page, the newest first. */
  async list({ limit, after, ...options }: JobListOptions = {}): Promise<JobsReply> {
    const path = `v1/jobs${queryOf({ limit, after: after ?? undefined })}`;
    const body = await this.#ask({ path }, options);
    if (isRecord(body) && Array.isArray(body["jobs"])) return body as unknown as JobsReply;
    throw notTheReply();
  }

  /** What is done is kept. Of one that has ended: nothing. */
  async cancel(id: string, options: Ended = {}): Promise<JobStatus> {
    return readJob(await this.#ask({ path: `${pathOf(id)}/cancel`, method: "POST" }, options));
  }

  /**
   * Cancels one that has not ended, and keeps what is done; one that has ended is removed with its results. Asked once, whatever
   * `retry` says: where the reply was lost, the same again would remove what the first has only cancelled.
   */
  async remove(id: string, { signal }: Ended = {}): Promise<JobDeletedReply["outcome"]> {
    const { transport, closed } = this.#parts;
    const scope = new Scope([signal, closed]);
    let body: unknown;
    try {
      const asked: Outgoing = { path: pathOf(id), method: "DELETE", accept: json };
      body = await transport.json(asked, scope.signal);
    } finally {
      scope.end();
    }
    const outcome = isRecord(body) ? body["outcome"] : null;
    if (outcome === "cancelled" || outcome === "removed") return outcome;
    throw notTheReply();
  }

  /** What came of each line, in their order, each once, whatever breaks meanwhile. */
  async *results(
    id: string,
    options: JobResultsOptions = {},
  ): AsyncGenerator<JobResult, void, undefined> {
    const { from = 0, to, wait = true } = options;
    let next = from;
    const transport = this.#parts.transport;
    yield* this.#followed(options, async function* (signal) {
      if (to !== undefined && next >= to) return;
      const path = `${pathOf(id)}/results${queryOf({ from: next, to, wait })}`;
      for await (const values of transport.lines(
        { path, accept: "application/x-ndjson" },
        signal,
      )) {
        for (const value of values) {
          const result = readResult(value, next);
          next += 1;
          yield result;
        }
      }
    });
  }

  /** How far it is, at each change, until it has ended; the last one says how. */
  async *watch(
    id: string,
    options: JobFollowOptions = {},
  ): AsyncGenerator<JobStatus, void, undefined> {
    const transport = this.#parts.transport;
    yield* this.#followed(options, async function* (signal) {
      const parser = new ServerEventParser();
      const outgoing: Outgoing = { path: `${pathOf(id)}/events`, accept: "text/event-stream" };
      for await (const chunk of transport.chunks(outgoing, signal)) {
        for (const event of parser.push(chunk)) {
          yield readEvent(event);
          if (event.type === "end") return;
        }
      }
      throw new MillraceError("connection_failed", "The events ended before the job.");
    });
  }

  /** Resolves when it has ended, well or not: `state` says how. */
  async wait(id: string, options: JobFollowOptions = {}): Promise<JobStatus> {
    let last: JobStatus | null = null;
    for await (const status of this.watch(id, options)) last = status;
    if (last === null) throw notTheReply();
    return last;
  }

  async #ask(outgoing: Omit<Outgoing, "accept">, { signal }: Ended): Promise<unknown> {
    const { transport, retry, closed } = this.#parts;
    const scope = new Scope([signal, closed]);
    const asked: Outgoing = { ...outgoing, accept: json };
    return await tryAgain(async () => await transport.json(asked, scope.signal), { retry, scope });
  }

  /** Asks again until it is done; each value that comes says that the server is there. */
  async *#followed<Value>(
    { signal, awayMsMax }: JobFollowOptions,
    attempt: (signal: AbortSignal) => AsyncGenerator<Value, void, undefined>,
  ): AsyncGenerator<Value, void, undefined> {
    const { awayMsMax: totalMs } = policyOf("options", followDefaults, { awayMsMax });
    const scope = new Scope([signal, this.#parts.closed]);
    const budget = new RetryBudget({
      attemptsMax: Infinity,
      delayMs: 200,
      delayMsMax: 2_000,
      totalMs,
    });
    try {
      for (;;) {
        try {
          for await (const value of attempt(scope.signal)) {
            budget.progressed();
            yield value;
          }
          return;
        } catch (error) {
          if (!(error instanceof MillraceError)) throw error;
          const pauseMs = budget.delayAfter(error, performance.now());
          if (pauseMs === null) throw error;
          await delay(pauseMs, scope.signal);
        }
      }
    } finally {
      scope.end();
    }
  }
}

const json = "application/json";

/** A body that is sent for hours is well as long as it moves: its time is that without a step. */
class Sending implements Disposable {
  readonly #scope: Scope;
  readonly #ms: number;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(parent: Scope, ms: number) {
    this.#scope = new Scope([parent.signal]);
    this.#ms = ms;
    this.goesOn();
  }

  get signal(): AbortSignal {
    return this.#scope.signal;
  }

  goesOn(): void {
    clearTimeout(this.#timer);
    // A timer cannot wait longer than that.
    if (this.#ms > 2_147_483_647) return;
    this.#timer = setTimeout(() => {
      const message = `Nothing moved for ${this.#ms} ms.`;
      this.#scope.abort(new MillraceError("connection_failed", message));
    }, this.#ms);
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#scope.end();
  }
}

function pathOf(id: string): string {
  return `v1/jobs/${encodeURIComponent(id)}`;
}

function queryOf(values: Readonly<Record<string, string | number | boolean | undefined>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined) query.set(name, String(value));
  }
  return query.size === 0 ? "" : `?${query.toString()}`;
}

/** `crypto.randomUUID` is missing where a page came over plain HTTP. */
function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function readJob(body: unknown): JobStatus {
  if (isRecord(body) && isStatus(body["job"])) return body["job"];
  throw notTheReply();
}

function readEvent({ type, data }: ServerEvent): JobStatus {
  let value: unknown;
  try {
    value = JSON.parse(data);
  } catch {
    throw notTheReply();
  }
  const error = type === "error" ? readError(value) : null;
  if (error !== null) throw error;
  if (isStatus(value)) return value;
  throw notTheReply();
}

function readResult(value: unknown, expected: number): JobResult {
  if (isRecord(value) && typeof value["line"] === "number") {
    if (value["line"] === expected) return value as unknown as JobResult;
    const message = `The reply has line ${value["line"]} where ${expected} should be.`;
    throw new MillraceError("response_invalid", message);
  }
  throw readError(value) ?? notTheReply();
}

function isStatus(value: unknown): value is JobStatus {
  return isRecord(value) && typeof value["id"] === "string" && typeof value["state"] === "string";
}

function notTheReply(): MillraceError {
  return new MillraceError("response_invalid", "A reply about jobs is not Millrace's.");
}
