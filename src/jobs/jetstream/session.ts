/**
 * One JetStream store over one connection after the other. What is asked while NATS is away waits, a bounded time, and then fails as
 * `job_store_failed`. Each connection is looked at before it is used: whether the store there is still the one that we know.
 *
 *   connected ─► looked at ─► ready ◄─► away
 *                  ├─ streams are missing, or another store's: what was kept is lost, and that is told ─► made again ─► ready
 *                  └─ of a newer format: refused
 */
import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import {
  JetStreamApiCodes,
  JetStreamApiError,
  type JetStreamClient,
  type JetStreamManager,
  jetstream,
  jetstreamManager,
} from "@nats-io/jetstream";
import { MillraceError } from "millrace-client/wire";
import type { NatsLink, NatsLog } from "../../nats/connection.js";
import { isUnanswered } from "../../nats/failures.js";
import { messageOf } from "../../work/thrown.js";
import type { Names } from "./names.js";

export interface Nats {
  readonly nc: NatsLink["connection"];
  readonly js: JetStreamClient;
  readonly jsm: JetStreamManager;
}

/** A link's, and what is lost beside it. */
export interface StoreLog extends NatsLog {
  error(fields: object, message: string): void;
}

/** What NATS lost: it came back without what it had acknowledged. */
export interface StoreLoss {
  readonly atMs: number;
  /** As far as who noticed it knew of them. */
  readonly jobs: number;
  readonly openJobs: number;
  readonly files: number;
}

export interface StoreSessionOptions {
  readonly link: NatsLink;
  readonly names: Names;
  readonly replicas: number;
  /** How long an operation waits for a store that is away. */
  readonly waitMsMax: number;
  readonly log: StoreLog;
  /** What is known of the store that is gone. */
  readonly onLost: () => Omit<StoreLoss, "atMs">;
  /** Before anything else is done on it. */
  readonly onConnected: (nats: Nats) => Promise<void>;
  readonly onAway: () => void;
  /** Streams that were gone are there again, and empty. */
  readonly onRemade: (streams: readonly string[]) => void;
}

const formatVersion = 1;
const requestMsMax = 3_000;
const againMs = 200;
/** A server that has just started may not know its streams at once. */
const looksBeforeLost = 3;
const looksEachMs = 400;

/** JetStream's codes where it has no room: storage, memory, account, stream; and the disk's own error. */
const fullCodes = new Set([10_023, 10_028, 10_047, 10_054, 10_122]);

interface Format {
  readonly format: number;
  /** Of this store alone: another one under the same name is another store. */
  readonly store: string;
  readonly loss: StoreLoss | null;
}

export class StoreSession {
  readonly #options: StoreSessionOptions;
  readonly #ended = new AbortController();
  readonly #stopListening: () => void;
  #ready: Nats | null = null;
  #refusal: MillraceError | null = null;
  #store: string | null = null;
  #loss: StoreLoss | null = null;
  /** The connection that is being looked at, or in use. */
  #current: Nats | null = null;
  #looking: Promise<void> = Promise.resolve();
  /** Of connections, so that none is looked at which has left while it waited for the one before. */
  #turn = 0;
  /** Streams that were made again, and nobody has been told of: what comes behind that may fail and be done anew. */
  readonly #remade = new Set<string>();
  #messageBytesMax = 1024 * 1024;
  /** Why there is no store just now. */
  #reason = "NATS was not reached yet";
  readonly #waiting = new Set<() => void>();

  constructor(options: StoreSessionOptions) {
    this.#options = options;
    this.#stopListening = options.link.listen({
      onConnected: (nc) => this.#connected(nc),
      onAway: () => this.#away(),
    });
  }

  /** Null: it is not there. */
  get current(): Nats | null {
    return this.#options.link.connected === null ? null : this.#ready;
  }

  /** Null: it is there. */
  get reason(): string | null {
    if (this.#refusal !== null) return this.#refusal.message;
    return this.#ready === null ? (this.#options.link.reason ?? this.#reason) : null;
  }

  get loss(): StoreLoss | null {
    return this.#loss;
  }

  /** With its headers; as the server said when it was reached last. */
  get messageBytesMax(): number {
    return this.#messageBytesMax;
  }

  /** @throws MillraceError `data_invalid` where it is of a newer format; true: it is there in time */
  async opened(): Promise<boolean> {
    await this.#whenReady(performance.now() + this.#options.waitMsMax);
    if (this.#refusal !== null) throw this.#refusal;
    return this.#ready !== null;
  }

  /**
   * What is asked may be asked several times: where nobody answers, it is not known whether it was done.
   *
   * @throws MillraceError `job_store_failed`, `job_store_full`
   */
  async run<Result>(work: (nats: Nats) => Promise<Result>): Promise<Result> {
    const untilMs = performance.now() + this.#options.waitMsMax;
    let thrown: unknown;
    for (;;) {
      await this.#whenReady(untilMs);
      const nats = this.#ready;
      if (nats === null) throw this.#failed(this.reason ?? this.#reason, thrown);
      try {
        return await work(nats);
      } catch (error) {
        if (!this.#maySucceedAgain(error, nats)) throw this.#told(error);
        thrown = error;
      }
      if (performance.now() + againMs > untilMs) throw this.#failed(messageOf(thrown), thrown);
      await delay(againMs);
    }
  }

  async close(): Promise<void> {
    this.#stopListening();
    this.#ended.abort();
    this.#away();
    this.#current = null;
    this.#reason = "it is closed";
    this.#wake();
    await this.#looking;
  }

  #failed(reason: string, cause: unknown): MillraceError {
    return new MillraceError("job_store_failed", `JetStream: ${reason}`, { cause });
  }

  #told(error: unknown): MillraceError {
    if (error instanceof MillraceError) return error;
    if (error instanceof JetStreamApiError && fullCodes.has(error.code)) {
      const message = `NATS has no room: ${error.message}`;
      return new MillraceError("job_store_full", message, { cause: error });
    }
    return this.#failed(messageOf(error), error);
  }

  #maySucceedAgain(error: unknown, nats: Nats): boolean {
    if (error instanceof MillraceError) return false;
    if (error instanceof JetStreamApiError) {
      if (fullCodes.has(error.code)) return false;
      const isGone = error.code === JetStreamApiCodes.StreamNotFound;
      if (isGone) this.#lookAgain(nats);
      // Of a cluster: no leader just now, or no quorum.
      return isGone || error.status === 503;
    }
    if (!isUnanswered(error)) return false;
    // Also what a stream that is gone looks like to who publishes.
    this.#lookAgain(nats);
    return true;
  }

  #connected(nc: Nats["nc"]): void {
    this.#away();
    const turn = this.#turn;
    this.#refusal = null;
    this.#messageBytesMax = nc.info?.max_payload ?? this.#messageBytesMax;
    const timeout = requestMsMax;
    const js = jetstream(nc, { timeout });
    this.#looking = this.#looking
      .then(async () => {
        // The check that it leaves out would fail where JetStream is not there yet.
        const jsm = await jetstreamManager(nc, { timeout, checkAPI: false });
        if (turn !== this.#turn) return;
        this.#current = { nc, js, jsm };
        await this.#look(this.#current);
      })
      .catch((error: unknown) => {
        this.#options.log.warn(
          { reason: messageOf(error) },
          "the job store in NATS cannot be used",
        );
      });
  }

  #away(): void {
    // Also in the midst of preparing, which would wait for what comes no more.
    const wasUsed = this.#current !== null;
    this.#turn += 1;
    this.#ready = null;
    this.#current = null;
    if (wasUsed) this.#options.onAway();
  }

  #lookAgain(nats: Nats): void {
    if (this.#ready !== nats) return;
    this.#ready = null;
    this.#options.onAway();
    this.#looking = this.#looking.then(() => this.#look(nats));
  }

  /** Until it is ready, or another connection is there. */
  async #look(nats: Nats): Promise<void> {
    let told: string | null = null;
    while (this.#current === nats && !this.#ended.signal.aborted) {
      try {
        await this.#prepare(nats);
        if (this.#current !== nats) return;
        if (this.#refusal === null) this.#ready = nats;
        this.#options.log.info({}, "the job store in NATS is there");
      } catch (error) {
        this.#reason = messageOf(error);
        if (told !== this.#reason && this.#current === nats) {
          told = this.#reason;
          this.#options.log.warn(
            { reason: told },
            "the job store in NATS cannot be used; it is tried again",
          );
        }
      }
      if (this.#ready !== null || this.#refusal !== null) {
        this.#wake();
        return;
      }
      await delay(againMs);
    }
  }

  async #prepare(nats: Nats): Promise<void> {
    const found = await this.#formatOf(nats);
    if (found !== null && found.format > formatVersion) {
      const message = `the job store in NATS has format ${found.format}, of a newer version; this one knows ${formatVersion}`;
      this.#refusal = new MillraceError("data_invalid", message);
      return;
    }
    const isKnown = this.#store !== null;
    const isLost = isKnown && found?.store !== this.#store;
    const made = await this.#makeStreams(nats);
    if (!isLost && found !== null && made.length > 0) {
      const message = "streams of the job store were gone, and what they held is lost";
      this.#options.log.error({ streams: made }, message);
      for (const name of made) this.#remade.add(name);
    }
    const loss = isLost ? { atMs: Date.now(), ...this.#options.onLost() } : null;
    const format = found ?? (await this.#makeFormat(nats, loss));
    this.#store = format.store;
    this.#loss = loss ?? this.#loss ?? format.loss;
    if (loss !== null) {
      const message = "NATS came back without the jobs that it had acknowledged: they are lost";
      this.#options.log.error(loss, message);
    } else if (!isKnown && format.loss !== null) {
      this.#options.log.warn(format.loss, "jobs of this deployment were lost by NATS before");
    }
    await this.#options.onConnected(nats);
    const remade = [...this.#remade];
    this.#remade.clear();
    if (remade.length > 0) this.#options.onRemade(remade);
  }

  /** Null: there is no store. One that was there is looked for several times. */
  async #formatOf({ jsm }: Nats): Promise<Format | null> {
    const { names } = this.#options;
    for (let look = 1; ; look++) {
      try {
        // Of a stream that another server is making just now NATS 2.9 gives no message: it would panic, and be gone for everybody.
        const { state } = await jsm.streams.info(names.records);
        if (state.messages > 0) {
          const query = { last_by_subj: names.record("meta", "format") };
          const message = await jsm.streams.getMessage(names.records, query);
          if (message !== null) return message.json<Format>();
        }
      } catch (error) {
        const isGone =
          error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound;
        if (!isGone) throw error;
      }
      if (this.#store === null || look === looksBeforeLost) return null;
      await delay(looksEachMs);
    }
  }

  /** Of several servers that do so at once one is first, and its store is everybody's. */
  async #makeFormat(nats: Nats, loss: StoreLoss | null): Promise<Format> {
    const { names } = this.#options;
    const made: Format = { format: formatVersion, store: randomUUID(), loss };
    try {
      await nats.js.publish(names.record("meta", "format"), JSON.stringify(made), {
        expect: { lastSubjectSequence: 0 },
      });
      return made;
    } catch (error) {
      if (!(error instanceof JetStreamApiError)) throw error;
      const other = await this.#formatOf(nats);
      if (other === null) throw error;
      return other;
    }
  }

  /** Gives the names of those that were not there. */
  async #makeStreams({ jsm }: Nats): Promise<readonly string[]> {
    const made: string[] = [];
    for (const config of this.#options.names.streams(this.#options.replicas)) {
      try {
        await jsm.streams.info(config.name);
      } catch (error) {
        const isGone =
          error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound;
        if (!isGone) throw error;
        await jsm.streams.add(config);
        made.push(config.name);
      }
    }
    return made;
  }

  async #whenReady(untilMs: number): Promise<void> {
    while (this.#ready === null && this.#refusal === null && !this.#ended.signal.aborted) {
      if (this.#options.link.state === "closed") return;
      const leftMs = untilMs - performance.now();
      if (leftMs <= 0) return;
      await new Promise<void>((resolve) => {
        const end = (): void => {
          clearTimeout(timer);
          this.#waiting.delete(end);
          resolve();
        };
        const timer = setTimeout(end, leftMs);
        this.#waiting.add(end);
      });
    }
  }

  #wake(): void {
    for (const end of this.#waiting) end();
  }
}
