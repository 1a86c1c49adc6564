/** A reply that comes bit by bit, and says now and then that it is alive. */
import type { ReplyStream } from "./http-front.js";
import type { Lifetime } from "./lifetime.js";
import type { ReplyWriter } from "./reply-writer.js";

export interface SignOfLife {
  readonly text: string;
  readonly everyMs: number;
}

export class LiveStream implements ReplyStream {
  readonly #writer: ReplyWriter;
  readonly #timer: NodeJS.Timeout | null = null;

  constructor(writer: ReplyWriter, lifetime: Lifetime, signOfLife: SignOfLife | null) {
    this.#writer = writer;
    if (signOfLife === null) return;
    const { text, everyMs } = signOfLife;
    this.#timer = setInterval(() => {
      // Who has not taken what was sent before needs no proof, and gets no more to take.
      if (!writer.isBehind) writer.write(text);
    }, everyMs);
    lifetime.onEnd(() => this.#stop());
  }

  write(data: string | Uint8Array): void {
    this.#timer?.refresh();
    this.#writer.write(data);
  }

  async ready(): Promise<void> {
    await this.#writer.ready();
  }

  async end(): Promise<void> {
    this.#stop();
    await this.#writer.end();
  }

  #stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }
}
