/**
 * What happens in a stream, in its order and from where we were, on one connection after the other. The library's ordered consumer
 * repairs gaps; a server that was away has forgotten such consumers, so a new connection starts a new one behind what was seen.
 */
import {
  type Consumer,
  type ConsumerMessages,
  DeliverPolicy,
  type JsMsg,
} from "@nats-io/jetstream";
import type { Nats } from "./session.js";

const messagesMax = 1_000;
const heartbeatMs = 5_000;

export class Feed {
  readonly #stream: string;
  readonly #filter: string | null;
  readonly #isHeadersOnly: boolean;
  readonly #onMessage: (message: JsMsg) => void;
  readonly #waiting = new Set<{ readonly sequence: number; readonly reached: () => void }>();
  #consumer: Consumer | null = null;
  #messages: ConsumerMessages | null = null;
  #position = 0;

  constructor({
    stream,
    filter,
    isHeadersOnly,
    onMessage,
  }: {
    readonly stream: string;
    /** One subject, maybe with wildcards: NATS 2.9 takes no more than one. Default: all. */
    readonly filter?: string;
    readonly isHeadersOnly: boolean;
    readonly onMessage: (message: JsMsg) => void;
  }) {
    this.#stream = stream;
    this.#filter = filter ?? null;
    this.#isHeadersOnly = isHeadersOnly;
    this.#onMessage = onMessage;
  }

  /** Of the last message that was seen. */
  get position(): number {
    return this.#position;
  }

  /** Behind this message, forward or back. */
  moveTo(sequence: number): void {
    this.#position = sequence;
  }

  /** Resolves when everything that was there is seen. */
  async start({ js }: Nats, caughtUpMsMax: number): Promise<void> {
    await this.stop();
    const consumer = await js.consumers.get(this.#stream, {
      deliver_policy: DeliverPolicy.StartSequence,
      opt_start_seq: this.#position + 1,
      headers_only: this.#isHeadersOnly,
      ...(this.#filter !== null && { filter_subjects: this.#filter }),
    });
    this.#consumer = consumer;
    const { num_pending: pending } = await consumer.info(true);
    let onCaughtUp = (): void => {};
    const isCaughtUp = new Promise<boolean>((resolve) => {
      if (pending === 0) return resolve(true);
      const timer = setTimeout(() => resolve(false), caughtUpMsMax);
      onCaughtUp = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
    this.#messages = await consumer.consume({
      max_messages: messagesMax,
      idle_heartbeat: heartbeatMs,
      callback: (message) => {
        if (message.seq > this.#position) {
          this.#onMessage(message);
          this.#arrived(message.seq);
        }
        if (message.info.pending === 0) onCaughtUp();
      },
    });
    if (!(await isCaughtUp)) throw new Error(`${this.#stream} is read too slowly`);
  }

  async stop(): Promise<void> {
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

  #arrived(sequence: number): void {
    this.#position = sequence;
    for (const waiter of this.#waiting) if (waiter.sequence <= sequence) waiter.reached();
  }
}
