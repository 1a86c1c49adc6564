/**
 * Which chunk runs next, on many servers: a work queue in JetStream. One message a chunk, one consumer a tenant; each server asks the
 * tenants in turn, for one chunk at a time and only when it has room.
 *
 *   offer ─► <tenant>.<job>.offer ─► whoever takes it ─► <tenant>.<job>.0 │ .1 │ .2 │ …  ─► take ─► done: acknowledged
 *            one message: durable    lays out the chunks                              │ giveBack: again, at once or later
 *                                                                                     └ its server dies: again, after ackWaitMs
 *
 * A subject holds one message at most, so what is offered twice is there once; what has results already is not offered.
 */
import { setTimeout as delay } from "node:timers/promises";
import {
  AckPolicy,
  type ConsumerInfo,
  JetStreamApiCodes,
  JetStreamApiError,
} from "@nats-io/jetstream";
import { MillraceError } from "millrace-client/wire";
import type { NatsLink } from "../../nats/connection.js";
import { messageOf } from "../../work/thrown.js";
import { within } from "../../work/within.js";
import type { ChunkQueue, TakenChunk } from "../chunk-queue.js";
import { hasEnded, type StoredJob } from "../store.js";
import { isTaken } from "./bodies.js";
import { HeldJobs } from "./held-jobs.js";
import { isTenantToken, type Names, tenantToken } from "./names.js";
import type { RecordIndex } from "./records.js";
import type { Nats, StoreLog, StoreSession } from "./session.js";
import type { StoreJobs } from "./store-jobs.js";
import { Taken } from "./taken.js";
import { TakingTurns } from "./taking-turns.js";

export interface JetStreamQueueOptions {
  /** After so long without a word the chunk is somebody else's. Default: nine seconds. */
  readonly ackWaitMs?: number;
}

export interface QueueParts {
  readonly link: NatsLink;
  readonly session: StoreSession;
  readonly names: Names;
  readonly index: RecordIndex;
  readonly jobs: StoreJobs;
  readonly log: StoreLog;
  /** Who ends a job asks whether this server has chunks of it in hand. */
  readonly onAsked: (jobId: string) => void;
}

const ackWaitMsDefault = 9_000;
/** A server asks for a chunk when it has room, so all of them together bound what is in hand. */
const ackPendingUnbounded = -1;
/** A pull that finds nothing is answered then: where somebody has given a consumer a bound all the same, NATS 2.9 would keep it for ever. */
const pullMs = 30;
const pullReplyMsMax = 2_000;
/** Where all that there is is in hand, some of which may come back: twice as long each time, for a thousand servers may look. */
const busyMs = { min: 300, max: 2_000 };
const idleMs = 5_000;
const awayMs = 1_000;
/** Between two looks at all tenants: what comes meanwhile is told. */
const listEachMs = 3_000;
const underWayMax = 256;
/** A tenant's consumer that nobody asked for so long is empty: it goes, and comes back with the next job. */
const unusedMs = 86_400_000;
const layOut = "offer";

const withdrawnMax = 10_000;

/** What the message says that has a job laid out. */
interface Offer {
  readonly tenant: string;
  /** Though it was laid out before. */
  readonly isAgain: boolean;
}

interface Pulled {
  readonly subject: string;
  readonly reply: string;
  readonly text: string;
}

export class JetStreamQueue implements ChunkQueue {
  readonly #parts: QueueParts;
  readonly #ackWaitMs: number;
  readonly #taken = new Set<Taken>();
  readonly #turns = new TakingTurns();
  readonly #held: HeldJobs;
  readonly #ending = new AbortController();
  readonly #stopListening: () => void;
  #subscribed: { readonly nc: Nats["nc"]; readonly stop: () => void } | null = null;
  #wake: () => void = () => {};
  /** Told since the round began, which may have looked before that. */
  #hasNews = false;
  #tenants: readonly string[] = [];
  #listedAtMs = Number.NEGATIVE_INFINITY;
  /** Jobs that have ended: what is left of them in the queue is let go. The latest ones; the runner knows the others. */
  readonly #withdrawn = new Set<string>();
  /** Rounds since anything was taken or told. */
  #vainRounds = 0;
  /** Whose turn was last. */
  #last = "";

  constructor(parts: QueueParts, { ackWaitMs = ackWaitMsDefault }: JetStreamQueueOptions) {
    this.#parts = parts;
    this.#ackWaitMs = ackWaitMs;
    this.#held = new HeldJobs(parts.names, parts.onAsked);
    this.#stopListening = parts.link.listen({ onConnected: (nc) => this.#subscribe(nc) });
  }

  /** The stream was lost: what is open is laid out anew, but for what has results. */
  async offerAgain(): Promise<void> {
    for (const job of await this.#parts.jobs.open()) {
      if (job.state !== "validating") await this.#offer(job, true);
    }
  }

  /** Cheap where it was offered before: it is called again and again. */
  async offer(job: StoredJob): Promise<void> {
    if (job.chunks === 0) return;
    if (!this.#isLaidOut(job)) await this.#offer(job, false);
  }

  /** One question a tenant: where anything is waited for or in hand, nothing is taken for lost. */
  async offerLost(jobs: readonly StoredJob[]): Promise<void> {
    const ofTenants = new Map<string, StoredJob[]>();
    for (const job of jobs) {
      const token = tenantToken(job.tenant);
      const its = ofTenants.get(token) ?? [];
      its.push(job);
      ofTenants.set(token, its);
    }
    for (const [token, its] of ofTenants) await this.#offerLostOf(token, its);
  }

  async #offerLostOf(token: string, jobs: readonly StoredJob[]): Promise<void> {
    const { session, jobs: store, log } = this.#parts;
    const laidOut = jobs.filter((job) => this.#isLaidOut(job));
    const info = await session.run((nats) => this.#consumer(nats, token));
    if (info !== null && info.num_pending + info.num_ack_pending > 0) return;
    // Behind that question: results are there before their chunk is acknowledged.
    await store.heardAll();
    const lost: StoredJob[] = [];
    for (const job of laidOut) {
      const isOpen = this.#isLaidOut(job);
      if (isOpen && (await store.nextUndone(job.id, 0)) < job.chunks) lost.push(job);
    }
    if (lost.length === 0) return;
    await this.#removeConsumer(token);
    for (const job of lost) {
      log.error({ job: job.id }, "the work queue has lost chunks: offered again");
      await this.#offer(job, true);
    }
  }

  async take(signal: AbortSignal): Promise<TakenChunk> {
    const either = AbortSignal.any([signal, this.#ending.signal]);
    const leave = await this.#turns.mine(either);
    try {
      for (;;) {
        either.throwIfAborted();
        const taken = await this.#look(either);
        if (taken !== null) return taken;
      }
    } finally {
      leave();
    }
  }

  /**
   * Where chunks of the tenant are in hand NATS 2.9 would count those that are purged twice, and then keep as many others to itself: they
   * are taken and let go here instead.
   */
  async withdraw(job: StoredJob): Promise<void> {
    this.#withdrawn.delete(job.id);
    this.#withdrawn.add(job.id);
    for (const id of this.#withdrawn) {
      if (this.#withdrawn.size <= withdrawnMax) break;
      this.#withdrawn.delete(id);
    }
    const { session, names } = this.#parts;
    const filter = names.workOf(job.tenant, job.id);
    await session.run(async (nats) => {
      // Nobody is waited for: those that have some of it in hand look at it.
      if (hasEnded(job)) nats.nc.publish(names.workHeld(job.id));
      const info = await this.#consumer(nats, tenantToken(job.tenant));
      if (info === null || info.num_ack_pending > 0) return;
      await nats.jsm.streams.purge(names.work, { filter });
    });
  }

  async isHeld({ id }: StoredJob): Promise<boolean> {
    return await this.#parts.session.run((nats) => this.#held.isHeld(nats, id));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort(new MillraceError("draining", "the work queue is closed"));
    this.#stopListening();
    this.#subscribed?.stop();
    if (this.#parts.session.current === null) for (const taken of this.#taken) taken.drop();
    await Promise.allSettled([...this.#taken].map((taken) => taken.giveBack(0)));
  }

  async #offer({ id, tenant }: StoredJob, isAgain: boolean): Promise<void> {
    const { session, names } = this.#parts;
    const token = tenantToken(tenant);
    await session.run((nats) => this.#addConsumer(nats, token));
    const offer: Offer = { tenant, isAgain };
    await this.#publish(names.workOf(tenant, id, layOut), JSON.stringify(offer));
    // Heard by this server as well.
    await session.run(({ nc }) => Promise.resolve(nc.publish(names.workTold, token)));
  }

  /** And open, as far as is known. */
  #isLaidOut({ id }: StoredJob): boolean {
    return this.#parts.index.jobs.get(id)?.open?.record.isLaidOut === true;
  }

  /** Null: there is none. */
  async #consumer({ jsm }: Nats, token: string): Promise<ConsumerInfo | null> {
    try {
      return await jsm.consumers.info(this.#parts.names.work, token);
    } catch (error) {
      const isApi = error instanceof JetStreamApiError;
      if (isApi && error.code === JetStreamApiCodes.ConsumerNotFound) return null;
      throw error;
    }
  }

  /** There may be something to take, of that tenant. */
  #told(token: string): void {
    if (!this.#tenants.includes(token)) this.#tenants = [...this.#tenants, token].sort();
    this.#hasNews = true;
    this.#vainRounds = 0;
    this.#wake();
  }

  /** What was told meanwhile is not known. */
  #lookAgain(): void {
    this.#listedAtMs = Number.NEGATIVE_INFINITY;
    this.#hasNews = true;
    this.#wake();
  }

  /** Once on each connection; it keeps its subscriptions when it comes back. */
  #subscribe(nc: Nats["nc"]): void {
    this.#held.connected(nc);
    if (this.#subscribed?.nc === nc) return this.#lookAgain();
    const callback: NonNullable<Parameters<Nats["nc"]["subscribe"]>[1]>["callback"] = (
      error,
      message,
    ) => {
      if (error === null && isTenantToken(message.string())) this.#told(message.string());
    };
    const subscription = nc.subscribe(this.#parts.names.workTold, { callback });
    this.#subscribed = { nc, stop: () => subscription.unsubscribe() };
    this.#lookAgain();
  }

  /** One round over the tenants, and a pause where none has anything. */
  async #look(signal: AbortSignal): Promise<TakenChunk | null> {
    this.#hasNews = false;
    try {
      const tenants = await this.#listed();
      const at = tenants.findIndex((token) => token > this.#last);
      const inTurn = at <= 0 ? tenants : [...tenants.slice(at), ...tenants.slice(0, at)];
      for (const token of inTurn) {
        signal.throwIfAborted();
        const pulled = await this.#parts.session.run((nats) => this.#pull(nats, token));
        if (pulled === null) continue;
        this.#last = token;
        const taken = this.#begin(pulled);
        if (signal.aborted) await taken?.giveBack(0);
        else if (taken !== null) return taken;
      }
      if (this.#hasNews) return null;
      const backoffMs = Math.min(busyMs.max, busyMs.min * 2 ** this.#vainRounds);
      this.#vainRounds += 1;
      await this.#pause(tenants.length > 0 ? backoffMs : idleMs, signal);
    } catch (error) {
      if (!(error instanceof MillraceError) || error.code !== "job_store_failed") throw error;
      // It is away, and has said so in the log.
      await this.#pause(awayMs, signal);
    }
    return null;
  }

  /** Null: it was no chunk. */
  #begin({ subject, reply, text }: Pulled): Taken | null {
    const { names, session, jobs } = this.#parts;
    const [, , jobId = "", what = ""] = names.tokens(subject);
    const index = Number(what);
    const isWanted = what === layOut || !this.#isOver(jobId);
    // To lay a job out is no work of its lines.
    const letGo = what === layOut ? (): void => {} : this.#held.hold(jobId);
    const taken = new Taken({
      jobId,
      index,
      mayBeDone: deliveriesOf(reply) > 1 || jobs.hasResults(jobId, index),
      reply,
      session,
      log: this.#parts.log,
      ackWaitMs: this.#ackWaitMs,
      onEnd: () => {
        this.#taken.delete(taken);
        letGo();
        // It may have been given back.
        this.#vainRounds = 0;
      },
    });
    this.#taken.add(taken);
    if (!isWanted) {
      // The next one at once.
      this.#hasNews = true;
      void taken.done();
      return null;
    }
    if (what !== layOut) return taken;
    this.#layOut(taken, JSON.parse(text) as Offer).catch((error: unknown) => {
      const message = "the chunks of a job could not be offered; it is tried again";
      this.#parts.log.warn({ job: jobId, reason: messageOf(error) }, message);
      return taken.giveBack(awayMs);
    });
    return null;
  }

  /** As far as is known here. */
  #isOver(jobId: string): boolean {
    const { index } = this.#parts;
    return this.#withdrawn.has(jobId) || index.jobs.get(jobId)?.open === null;
  }

  /** In the order of the file, many under way at once. A server that dies at it leaves it to another one. */
  async #layOut(offer: Taken, { tenant, isAgain }: Offer): Promise<void> {
    const { names, index: known, jobs: store } = this.#parts;
    const { jobId } = offer;
    const job = await store.get(jobId);
    const isLaidOut = known.jobs.get(jobId)?.open?.record.isLaidOut === true;
    if (job === null || hasEnded(job) || (isLaidOut && !isAgain)) return await offer.done();
    const underWay = new Set<Promise<void>>();
    let failure: { readonly error: unknown } | null = null;
    const { chunks } = job;
    const tally = await store.tallyOf(job);
    let index = tally.nextUndone(0, chunks);
    while (index < chunks) {
      this.#ending.signal.throwIfAborted();
      while (underWay.size >= underWayMax) await Promise.race(underWay);
      if (failure !== null) break;
      const published = this.#publish(names.workOf(tenant, jobId, String(index)), "")
        .catch((error: unknown) => {
          failure ??= { error };
        })
        .finally(() => underWay.delete(published));
      underWay.add(published);
      index = tally.nextUndone(index + 1, chunks);
    }
    await Promise.all(underWay);
    if (failure !== null) throw (failure as { readonly error: unknown }).error;
    await store.laidOut(jobId);
    await offer.done();
    this.#told(tenantToken(tenant));
  }

  /** Where it is there already, it stays as it is. */
  async #publish(subject: string, text: string): Promise<void> {
    await this.#parts.session.run(async ({ js }) => {
      try {
        await js.publish(subject, text);
      } catch (error) {
        if (!isTaken(error)) throw error;
      }
    });
  }

  async #pull({ nc, js }: Nats, token: string): Promise<Pulled | null> {
    const subject = `${js.apiPrefix}.CONSUMER.MSG.NEXT.${this.#parts.names.work}.${token}`;
    const request = { batch: 1, no_wait: true, expires: pullMs * 1_000_000 };
    // A message comes under its own subject, by which the shared inbox would not know it.
    const timeout = pullMs + pullReplyMsMax;
    const asked = nc.request(subject, JSON.stringify(request), { timeout, noMux: true });
    // Of a connection that is closed meanwhile the library says nothing of such a request, not even that its time is over.
    if (!(await within(timeout + pullMs, asked))) {
      throw new MillraceError("job_store_failed", "JetStream: a request was never answered");
    }
    const message = await asked;
    if (message.headers?.hasError === true || message.reply === undefined) return null;
    return { subject: message.subject, reply: message.reply, text: message.string() };
  }

  /** Those that have something, in the order of their names. */
  async #listed(): Promise<readonly string[]> {
    if (performance.now() - this.#listedAtMs < listEachMs) return this.#tenants;
    this.#listedAtMs = performance.now();
    const before = this.#tenants;
    const listed = await this.#parts.session.run((nats) => this.#list(nats));
    // Those that were told of meanwhile may be in no list yet.
    const told = this.#tenants.filter((token) => !before.includes(token));
    this.#tenants = [...new Set([...listed, ...told])].sort();
    return this.#tenants;
  }

  async #list(nats: Nats): Promise<readonly string[]> {
    const tenants: string[] = [];
    for await (const info of nats.jsm.consumers.list(this.#parts.names.work)) {
      if (info.num_pending + info.num_ack_pending > 0) tenants.push(info.name);
    }
    return tenants.sort();
  }

  /** Makes it, or sets it anew. */
  async #addConsumer({ jsm }: Nats, token: string): Promise<void> {
    const { names } = this.#parts;
    await jsm.consumers.add(names.work, {
      durable_name: token,
      filter_subject: names.workOfToken(token),
      ack_policy: AckPolicy.Explicit,
      ack_wait: this.#ackWaitMs * 1_000_000,
      max_deliver: -1,
      max_ack_pending: ackPendingUnbounded,
      inactive_threshold: unusedMs * 1_000_000,
    });
  }

  /**
   * After a purge NATS 2.9 may have chunks in the stream that the consumer takes for done, and gives to nobody; while they are there none
   * of their names can be offered. A new consumer begins at the first of them.
   */
  async #removeConsumer(token: string): Promise<void> {
    const { session, names } = this.#parts;
    await session.run(async ({ jsm }) => {
      try {
        await jsm.consumers.delete(names.work, token);
      } catch (error) {
        const isApi = error instanceof JetStreamApiError;
        if (!isApi || error.code !== JetStreamApiCodes.ConsumerNotFound) throw error;
      }
    });
  }

  async #pause(ms: number, signal: AbortSignal): Promise<void> {
    const ending = new AbortController();
    const woken = new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    const either = AbortSignal.any([signal, ending.signal]);
    const passed = delay(ms, undefined, { signal: either }).catch(() => {});
    await Promise.race([woken, passed]);
    this.#wake = () => {};
    ending.abort();
  }
}

/** How often the message was given to somebody, as the subject says on which it is answered. */
function deliveriesOf(reply: string): number {
  const tokens = reply.split(".");
  // From version 2.11 on there may be a domain and an account before the stream.
  return Number(tokens[tokens.length > 9 ? 6 : 4]);
}
