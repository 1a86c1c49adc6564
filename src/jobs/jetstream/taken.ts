/**
 * A chunk in hand. JetStream gives it to somebody else when it has not heard of it for `ackWaitMs`, so a word is said each third of that,
 * whatever becomes of the chunk meanwhile: one word may come late, or this process stand still for half of the time, and nothing is run
 * twice. A process that is gone, stands still for longer or is cut off says nothing.
 */
import { messageOf } from "../../work/thrown.js";
import type { TakenChunk } from "../chunk-queue.js";
import type { Nats, StoreLog, StoreSession } from "./session.js";

export interface TakenOptions {
  readonly jobId: string;
  readonly index: number;
  readonly mayBeDone: boolean;
  /** Where JetStream hears of it. */
  readonly reply: string;
  readonly session: StoreSession;
  readonly log: StoreLog;
  readonly ackWaitMs: number;
  readonly onEnd: () => void;
}

const wordsPerWait = 3;

export class Taken implements TakenChunk {
  readonly jobId: string;
  readonly index: number;
  readonly mayBeDone: boolean;
  readonly #options: TakenOptions;
  readonly #words: NodeJS.Timeout;
  #hasEnded = false;

  constructor(options: TakenOptions) {
    this.jobId = options.jobId;
    this.index = options.index;
    this.mayBeDone = options.mayBeDone;
    this.#options = options;
    const { session, reply, ackWaitMs } = options;
    // Where NATS is away it hears nothing, and gives the chunk to somebody else: its results are stored once all the same.
    const say = (): void => session.current?.nc.publish(reply, "+WPI");
    this.#words = setInterval(say, ackWaitMs / wordsPerWait);
    this.#words.unref();
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

  /** No word is said of it any more: it comes again. */
  drop(): void {
    clearInterval(this.#words);
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    this.#options.onEnd();
  }

  /** Nothing is lost where it cannot be said: the chunk comes again, to this server or another one. */
  async #end(say: (nats: Nats) => Promise<void>): Promise<void> {
    if (this.#hasEnded) return;
    this.drop();
    const { session, log, jobId, index } = this.#options;
    try {
      await session.run(say);
    } catch (error) {
      const fields = { job: jobId, chunk: index, reason: messageOf(error) };
      log.warn(fields, "NATS does not hear what became of a chunk, which will come again");
    }
  }
}
