/**
 * What happens in a stream, in its order and from where we were, on one connection after the other. The library's ordered consumer
 * repairs gaps; a server that was away has forgotten such consumers, so a new connection starts a new one behind what was seen.
 */
import { setTimeout as delay } from "node:timers/promises";
import {
  type Consumer,
  type ConsumerMessages,
  DeliverPolicy,
  type JsMsg,
} from "@nats-io/jetstream";
import { messageOf } from "../../work/thrown.js";
import type { Nats, StoreLog } from "./session.js";

const messagesMax = 1_000;
const heartbeatMs = 5_000;
/** What was there may be deleted while it is read, and a consumer may be forgotten: neither says so. */
const lookMs = 1_000;

export class Feed {
  readonly #stream: string;
  readonly #filter: string | null;
  readonly #isHeadersOnly: boolean;
  readonly #onMessage: (message: JsMsg) => void;
  readonly #log: Pick<StoreLog, "error">;
  readonly #waiting = new Set<{ readonly sequence: number; readonly reached: () => void }>();
  #consumer: Consumer | null = null;
  #messages: ConsumerMessages | null = null;
  /** Ends a start that waits for what was there. */
  #stopping = new AbortController();
  #position = 0;

  constructor({
    stream,
    filter,
    isHeadersOnly,
    onMessage,
    log,
  }: {
    readonly stream: string;
    /** One subject, maybe with wildcards: NATS 2.9 takes no more than one. Default: all. */
    readonly filter?: string;
    readonly isHeadersOnly: boolean;
    /** What it throws is logged, and costs that message alone. */
    readonly onMessage: (message: JsMsg) => void;
    readonly log: Pick<StoreLog, "error">;
  }) {
    this.#stream = stream;
    this.#filter = filter ?? null;
    this.#isHeadersOnly = isHeadersOnly;
    this.#onMessage = onMessage;
    this.#log = log;
  }

  /** Of the last message that was seen. */
  get position(): number {
    return this.#position;
  }

  /** Behind this message, forward or back. */
  moveTo(sequence: number): void {
    this.#position = sequence;
  }

  /** Resolves when everything that was there is seen. @throws where it is stopped before, or the consumer is gone */
  async start({ js }: Nats, caughtUpMsMax: number): Promise<void> {
    await this.stop();
    const { signal } = this.#stopping;
    const consumer = await js.consumers.get(this.#stream, {
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: this.#position + 1,
      headers_only: this.#isHeadersOnly,
      ...(this.#filter !== null && { filter_subjects: this.#filter }),
    });
    this.#consumer = consumer;
    const { num_pending: pending } = await consumer.info(true);
    signal.throwIfAborted();
    const caughtUp = new AbortController();
    const messages = await consumer.consume({
      max_messages: messagesMax,
      idle_heartbeat: heartbeatMs,
      callback: (message) => {
        if (message.seq > this.#position) {
          this.#take(message);
          this.#arrived(message.seq);
        }
        if (message.info.pending === 0) caughtUp.abort();
      },
    });
    if (signal.aborted) await messages.close();
    signal.throwIfAborted();
    this.#messages = messages;
    if (pending === 0) return;
    const untilMs = performance.now() + caughtUpMsMax;
    while (!caughtUp.signal.aborted) {
      await pause(lookMs, AbortSignal.any([signal, caughtUp.signal]));
      signal.throwIfAborted();
      if (caughtUp.signal.aborted || (await this.#hasSeenAll(consumer))) return;
      if (performance.now() > untilMs) throw new Error(`${this.#stream} is read too slowly`);
    }
  }

  async stop(): Promise<void> {
    this.#stopping.abort(new Error(`${this.#stream} is read no more`));
    this.#stopping = new AbortController();
    const messages = this.#messages;
    this.#messages = null;
    await messages?.close();
  }

  /** For good: NATS would keep the consumer for minutes. */
  async end(): Promise<void> {
    await this.stop();
    await this.#consumer?.delete();
    this.#consumer = null;
  }

  async #hasSeenAll(consumer: Consumer): Promise<boolean> {
    const { num_pending: pending, delivered } = await consumer.info();
    return pending === 0 && delivered.stream_seq <= this.#position;
  }

  /** Whether everything up to this message was seen in time. */
  async reaches(sequence: number, waitMs: number): Promise<boolean> {
    if (this.#position >= sequence) return true;
    return await new Promise((resolve) => {
      const end = (isReached: boolean): void => {
        clearTimeout(timer);
        this.#waiting.delete(waiter);
        resolve(isReached);
      };
      const waiter = { sequence, reached: () => end(true) };
      const timer = setTimeout(() => end(false), waitMs);
      this.#waiting.add(waiter);
    });
  }

  /** The library ends a consumer whose callback throws, and tells nobody. */
  #take(message: JsMsg): void {
    try {
      this.#onMessage(message);
    } catch (error) {
      const { subject, seq: sequence } = message;
      const fields = { stream: this.#stream, subject, sequence, reason: messageOf(error) };
      this.#log.error(fields, "a message of the job store cannot be used");
    }
  }

  #arrived(sequence: number): void {
    this.#position = sequence;
    for (const waiter of this.#waiting) if (waiter.sequence <= sequence) waiter.reached();
  }
}

/** Shorter where the signal comes. */
async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => {});
}
