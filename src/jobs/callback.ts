/**
 * Whoever asked for it (`callback`) is told when a job has ended: a POST of its status, signed, to a host that the operator allowed.
 * Tried again with longer and longer waits, over restarts too, for a day; told at least once, and mostly once.
 *
 *   millrace-signature: t=<seconds since 1970>,v1=<hex of HMAC-SHA256(secret, "<t>.<body>")>
 */
import { createHmac, randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { MillraceError } from "millrace-client/wire";
import type { Log } from "../log.js";
import { callbackHostsOf, mayCall } from "../options/callback-hosts.js";
import type { Options } from "../options/options.js";
import { Counts } from "../work/counts.js";
import { Deadline } from "../work/deadline.js";
import { messageOf } from "../work/thrown.js";
import { allJobs } from "./all-jobs.js";
import { jobStatus } from "./job-status.js";
import type { JobsClock } from "./jobs-clock.js";
import { hasEnded, type JobStore, type StoredJob } from "./store.js";

export interface CallbackOptions {
  readonly store: Pick<JobStore, "jobs" | "changeJob">;
  readonly clock: JobsClock;
  readonly log: Log;
  readonly hosts: readonly string[];
  readonly secret: Uint8Array;
  /** Of the first wait; each further one is twice as long. */
  readonly retryMsMin?: number;
}

const secretBytesMin = 16;
/** At once: in all, and of one host, which may never answer. */
const callsMax = { all: 8, host: 4 };
const elsewhereMsMin = 1_000;
const startRetryMs = 5_000;
const answerMsMax = 10_000;
/** A server that died while it told of a job holds up the others for so long. */
const claimMs = answerMsMax + 2_000;
const retryMsMax = 3_600_000;
/** From the job's end. */
const givenUpMs = 86_400_000;
/** Jobs that wait to be told of; those beyond are found when some of them have been. */
const waitingMax = 10_000;

class Callbacks {
  /** Made anew at each start. */
  readonly #id = randomUUID();
  readonly #options: CallbackOptions;
  readonly #retryMsMin: number;
  readonly #waiting = new Map<string, { readonly host: string; dueAtMs: number; waitMs: number }>();
  readonly #callsOf = new Counts();
  readonly #calls = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  #hasMore = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: CallbackOptions) {
    this.#options = options;
    this.#retryMsMin = options.retryMsMin ?? 1_000;
  }

  /** Finds those that ended when nobody was told: the server was down, or went down before. As often as it takes. */
  start(): void {
    this.#lookThrough().catch((error: unknown) => {
      if (this.#stopping.signal.aborted) return;
      const message = "jobs: who is to be told could not be looked up; trying again";
      this.#options.log.error({ err: error }, message);
      setTimeout(() => this.start(), startRetryMs).unref();
    });
  }

  async #lookThrough(): Promise<void> {
    const { store } = this.#options;
    if (this.#stopping.signal.aborted) return;
    this.#hasMore = false;
    for await (const job of allJobs(store)) {
      if (this.#stopping.signal.aborted) return;
      this.ended(job);
    }
  }

  /** Of a job that wants nobody told, or somebody who must not be: nothing. */
  ended(job: StoredJob): void {
    this.#wait(job, 0);
  }

  /** Ended by another server, which tells of it first where it may: this one looks a moment later whether it has. */
  endedElsewhere(job: StoredJob): void {
    this.#wait(job, elsewhereMsMin * (1 + 2 * Math.random()));
  }

  #wait({ id, callbackUrl, calledAtMs, ...job }: StoredJob, afterMs: number): void {
    if (callbackUrl === null || calledAtMs !== null || !hasEnded(job)) return;
    if (!mayCall(callbackUrl, this.#options.hosts) || this.#waiting.has(id)) return;
    if (this.#waiting.size >= waitingMax) {
      this.#hasMore = true;
      return;
    }
    const { host } = new URL(callbackUrl);
    const dueAtMs = performance.now() + afterMs;
    this.#waiting.set(id, { host, dueAtMs, waitMs: this.#retryMsMin });
    this.#look();
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error("the server stops"));
    if (this.#timer !== null) clearTimeout(this.#timer);
    await Promise.all(this.#calls);
  }

  /** Calls what is due, and comes again for what is not. */
  #look(): void {
    if (this.#stopping.signal.aborted) return;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const now = performance.now();
    let soonestMs = Number.POSITIVE_INFINITY;
    for (const [id, each] of this.#waiting) {
      if (each.dueAtMs > now) soonestMs = Math.min(soonestMs, each.dueAtMs - now);
      else if (this.#mayCall(each.host)) {
        each.dueAtMs = Number.POSITIVE_INFINITY;
        this.#begin(id, each.host);
      }
    }
    // Not only when all are told: one whose host is away may wait for a day.
    if (this.#hasMore && this.#waiting.size <= waitingMax / 2) this.start();
    if (!Number.isFinite(soonestMs)) return;
    this.#timer = setTimeout(() => this.#look(), Math.ceil(soonestMs));
    this.#timer.unref();
  }

  #mayCall(host: string): boolean {
    return this.#calls.size < callsMax.all && this.#callsOf.of(host) < callsMax.host;
  }

  #begin(id: string, host: string): void {
    this.#callsOf.add(host, 1);
    const call = this.#call(id).finally(() => {
      this.#callsOf.add(host, -1);
      this.#calls.delete(call);
      this.#look();
    });
    this.#calls.add(call);
  }

  async #call(id: string): Promise<void> {
    const { store, clock, log } = this.#options;
    try {
      const job = await this.#claim(id);
      if (job?.callbackUrl === undefined || job.callbackUrl === null || job.calledAtMs !== null) {
        this.#waiting.delete(id);
        return;
      }
      if (job.calling?.by !== this.#id) throw new Error("another server tells of it just now");
      const failure = await this.#post(job.callbackUrl, job);
      const isOver = clock.now() - (job.endedAtMs ?? 0) > givenUpMs;
      if (failure !== null && !isOver) {
        await this.#release(id);
        throw new Error(failure);
      }
      if (failure !== null) log.warn({ job: id, failure }, "nobody was told that a job has ended");
      await store.changeJob(id, () => ({ calledAtMs: clock.now() }));
      this.#waiting.delete(id);
    } catch (error) {
      const each = this.#waiting.get(id);
      if (each === undefined || this.#stopping.signal.aborted) return;
      log.debug({ job: id, why: messageOf(error) }, "a callback failed; it is tried again");
      each.dueAtMs = performance.now() + each.waitMs;
      each.waitMs = Math.min(retryMsMax, 2 * each.waitMs);
    }
  }

  /** Of all servers that may tell of it one does so at a time: their listener may be slow. */
  async #claim(id: string): Promise<StoredJob | null> {
    const { store, clock } = this.#options;
    return await store.changeJob(id, ({ callbackUrl, calledAtMs, calling }) => {
      const now = clock.now();
      const isOthers = calling !== null && calling.by !== this.#id && calling.untilMs > now;
      if (callbackUrl === null || calledAtMs !== null || isOthers) return null;
      return { calling: { by: this.#id, untilMs: now + claimMs } };
    });
  }

  async #release(id: string): Promise<void> {
    const { store } = this.#options;
    await store.changeJob(id, ({ calling }) =>
      calling?.by === this.#id ? { calling: null } : null,
    );
  }

  /** Null: it was taken. No redirect is followed: it could lead anywhere. */
  async #post(url: string, job: StoredJob): Promise<string | null> {
    const { secret } = this.#options;
    const body = JSON.stringify({ job: jobStatus(job, { pace: () => null }) });
    // As whoever is called has it: jobs' own time may be far from that, where a clock was wrong once.
    const seconds = Math.floor(Date.now() / 1_000);
    const signature = createHmac("sha256", secret).update(`${seconds}.${body}`).digest("hex");
    using deadline = new Deadline(answerMsMax, this.#stopping.signal);
    try {
      const response = await fetch(url, {
        method: "POST",
        redirect: "manual",
        headers: {
          "content-type": "application/json",
          "millrace-signature": `t=${seconds},v1=${signature}`,
        },
        body,
        signal: deadline.signal,
      });
      await response.body?.cancel();
      return response.ok ? null : `status ${response.status}`;
    } catch (error) {
      return messageOf(error);
    }
  }
}

/** Null: nobody may be called. @throws MillraceError `option_invalid` */
export async function openCallbacks(
  { jobCallbackHosts, jobCallbackSecret }: Options,
  parts: Pick<CallbackOptions, "store" | "clock" | "log">,
): Promise<Callbacks | null> {
  const hosts = callbackHostsOf(jobCallbackHosts) ?? [];
  if (hosts.length === 0 || jobCallbackSecret === null) return null;
  let text: string;
  try {
    text = await readFile(jobCallbackSecret, "utf8");
  } catch (cause) {
    const message = `--job-callback-secret: ${jobCallbackSecret} cannot be read: ${messageOf(cause)}`;
    throw new MillraceError("option_invalid", message, { cause });
  }
  const secret = Buffer.from(text.trim(), "utf8");
  if (secret.length < secretBytesMin) {
    const message = `--job-callback-secret: ${jobCallbackSecret} has ${secret.length} bytes; at least ${secretBytesMin} are needed`;
    throw new MillraceError("option_invalid", message);
  }
  return new Callbacks({ ...parts, hosts, secret });
}
