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
  readonly #timer: NodeJS.Timeout;

  constructor(writer: ReplyWriter, lifetime: Lifetime, { text, everyMs }: SignOfLife) {
    this.#writer = writer;
    this.#timer = setInterval(() => {
      // Who has not taken what was sent before needs no proof, and gets no more to take.
      if (!writer.isBehind) writer.write(text);
    }, everyMs);
    lifetime.onEnd(() => clearInterval(this.#timer));
  }

  write(text: string): void {
    this.#timer.refresh();
    this.#writer.write(text);
  }

  async end(): Promise<void> {
    clearInterval(this.#timer);
    await this.#writer.end();
  }
}
