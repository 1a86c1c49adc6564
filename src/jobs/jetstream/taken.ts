/** A chunk in hand: JetStream gives it to somebody else when it has not heard of it for a while. */
import { messageOf } from "../../work/thrown.js";
import type { TakenChunk } from "../chunk-queue.js";
import type { Nats, Session, StoreLog } from "./session.js";

export interface TakenOptions {
  readonly jobId: string;
  readonly index: number;
  /** Where JetStream hears of it. */
  readonly reply: string;
  readonly session: Session;
  readonly log: StoreLog;
  readonly ackWaitMs: number;
  readonly onEnd: () => void;
}

/** Said more often than that it helps nobody. */
const wordsPerWait = 5;

export class Taken implements TakenChunk {
  readonly jobId: string;
  readonly index: number;
  readonly #options: TakenOptions;
  #saidAtMs: number = performance.now();
  #hasEnded = false;

  constructor(options: TakenOptions) {
    this.jobId = options.jobId;
    this.index = options.index;
    this.#options = options;
  }

  working(): void {
    const { session, reply, ackWaitMs } = this.#options;
    const nowMs = performance.now();
    if (this.#hasEnded || nowMs - this.#saidAtMs < ackWaitMs / wordsPerWait) return;
    this.#saidAtMs = nowMs;
    // Where NATS is away it hears nothing, and gives the chunk to somebody else: its results are stored once all the same.
    session.current?.nc.publish(reply, "+WPI");
  }

  async done(): Promise<void> {
    await this.#end(async ({ nc }) => {
      await nc.request(this.#options.reply, "+ACK");
    });
  }

  async giveBack(afterMs: number): Promise<void> {
    const word = afterMs <= 0 ? "-NAK" : `-NAK {"delay": ${Math.ceil(afterMs) * 1_000_000}}`;
    // NATS answers no such word.
    await this.#end(async ({ nc }) => {
      nc.publish(this.#options.reply, word);
      await nc.flush();
    });
  }

  /** Nothing is lost where it cannot be said: the chunk comes again, to this server or another one. */
  async #end(say: (nats: Nats) => Promise<void>): Promise<void> {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    const { session, log, jobId, index, onEnd } = this.#options;
    onEnd();
    try {
      await session.run(say);
    } catch (error) {
      const fields = { job: jobId, chunk: index, reason: messageOf(error) };
      log.warn(fields, "NATS does not hear what became of a chunk, which will come again");
    }
  }
}
