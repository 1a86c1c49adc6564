/** Writes lines to a reply no faster than the caller takes them. */
import type { ServerResponse } from "node:http";

/**
 *   write(line) ──► response.write ──► socket        while the socket takes more
 *        └────────► #waiting ── 'drain' ──► …        while it does not
 *
 * What waits is bounded by the results of one request, which admission bounds. A caller that takes nothing for
 * `stallMs` is disconnected: a reply cannot hold its memory for ever.
 */
export class LineWriter {
  readonly #response: ServerResponse;
  readonly #stallMs: number;
  #waiting: string[] = [];
  #stallTimer: NodeJS.Timeout | null = null;
  #onEmpty: (() => void) | null = null;

  constructor(response: ServerResponse, stallMs: number) {
    this.#response = response;
    this.#stallMs = stallMs;
    response.on("drain", () => this.#resume());
    response.once("close", () => this.#drop());
  }

  /** After the caller has left: does nothing. */
  write(line: string): void {
    if (this.#response.destroyed) return;
    if (this.#stallTimer !== null) this.#waiting.push(line);
    else if (!this.#response.write(line)) this.#block();
  }

  /** Resolves when the last line was handed to the socket, or the caller has left. */
  async end(): Promise<void> {
    if (this.#stallTimer !== null && !this.#response.destroyed) {
      await new Promise<void>((resolve) => {
        this.#onEmpty = resolve;
      });
    }
    this.#response.end();
  }

  #block(): void {
    this.#stallTimer = setTimeout(() => this.#response.destroy(), this.#stallMs);
  }

  #resume(): void {
    this.#unblock();
    let sent = 0;
    while (sent < this.#waiting.length && this.#stallTimer === null) {
      const line = this.#waiting[sent++];
      if (line !== undefined && !this.#response.write(line)) this.#block();
    }
    this.#waiting.splice(0, sent);
    if (this.#stallTimer === null) this.#onEmpty?.();
  }

  #drop(): void {
    this.#unblock();
    this.#waiting = [];
    this.#onEmpty?.();
  }

  #unblock(): void {
    if (this.#stallTimer !== null) clearTimeout(this.#stallTimer);
    this.#stallTimer = null;
  }
}
