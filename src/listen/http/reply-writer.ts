/** Writes a reply no faster than the caller takes it: the one way in which every reply leaves. */
import type { ServerResponse } from "node:http";
import {
  heldBytesOf,
  type OutgoingText,
  outgoingText,
  partBytes,
  type WaitingText,
} from "../outgoing-text.js";
import { type ReplyBudget, ReplyShare } from "../reply-budget.js";
import type { Lifetime } from "./lifetime.js";

export interface WriterParts {
  readonly lifetime: Lifetime;
  readonly stallMs: number;
  readonly budget: ReplyBudget;
  readonly disconnect: () => void;
}

/** Who waits until it is ready may have so many bytes here. */
const readyBytesMax = 64 * 1024;

/**
 *   write ──► #waiting ──► response.write ──► socket        until the socket has enough
 *                 ▲              │
 *                 └── 'drain' ◄──┘                          the caller has taken a chunk
 *
 * A caller that takes no chunk for `stallMs` is disconnected, also when only the end is left. What it sends meanwhile is
 * no excuse, which is why this is no time-out of the socket.
 */
export class ReplyWriter {
  readonly #response: ServerResponse;
  readonly #lifetime: Lifetime;
  readonly #stallMs: number;
  readonly #share: ReplyShare;
  #waiting: WaitingText[] = [];
  #blocked = false;
  #ended = false;
  #stallTimer: NodeJS.Timeout | null = null;
  #onReady: (() => void)[] = [];

  constructor(response: ServerResponse, parts: WriterParts) {
    const { lifetime, stallMs, budget, disconnect } = parts;
    this.#response = response;
    this.#lifetime = lifetime;
    this.#stallMs = stallMs;
    this.#share = new ReplyShare(budget, disconnect);
    response.on("drain", () => {
      this.#blocked = false;
      this.#pump();
    });
    lifetime.onEnd(() => this.#drop());
  }

  /** Whether the caller has not taken all that was written. */
  get isBehind(): boolean {
    return this.#blocked;
  }

  /** After the caller has left: does nothing. */
  write(data: string | Uint8Array): void {
    if (this.#lifetime.isOver) return;
    const whole = outgoingText(data);
    this.#waiting.push({ whole, from: 0 });
    this.#share.grow(heldBytesOf(whole));
    if (!this.#blocked) this.#pump();
  }

  /** Resolves when little is left of what was written, or the caller has left. */
  async ready(): Promise<void> {
    if (this.#isReady) return;
    await new Promise<void>((resolve) => {
      this.#onReady.push(resolve);
    });
  }

  /** Resolves when the caller has taken the last byte, or has left. */
  async end(last?: string | Uint8Array): Promise<void> {
    const done = new Promise<void>((resolve) => {
      this.#lifetime.onEnd(resolve);
    });
    if (this.#lifetime.isOver) return;
    this.#ended = true;
    const whole = last === undefined ? null : outgoingText(last);
    const isShort = whole !== null && whole.length <= partBytes;
    // Head and body in one packet, as most replies are.
    if (isShort && !this.#blocked && this.#waiting.length === 0) this.#finish(whole);
    else if (whole === null) this.#pump();
    else this.write(whole);
    await done;
  }

  get #isReady(): boolean {
    return this.#lifetime.isOver || this.#share.bytes <= readyBytesMax;
  }

  #tellReady(): void {
    const told = this.#onReady;
    this.#onReady = [];
    for (const tell of told) tell();
  }

  #pump(): void {
    this.#disarm();
    let sent = 0;
    while (!this.#blocked && sent < this.#waiting.length) {
      const next = this.#waiting[sent];
      if (next === undefined) break;
      const { whole, from } = next;
      next.from = Math.min(whole.length, from + partBytes);
      this.#blocked = !this.#response.write(
        from === 0 && next.from === whole.length ? whole : cut(whole, from, next.from),
      );
      if (next.from < whole.length) continue;
      sent += 1;
      this.#share.shrink(heldBytesOf(whole));
    }
    this.#waiting.splice(0, sent);
    if (this.#isReady) this.#tellReady();
    if (this.#blocked) this.#arm();
    else if (this.#ended && !this.#response.writableEnded) this.#finish(null);
  }

  #finish(last: OutgoingText | null): void {
    if (last === null) this.#response.end();
    else {
      this.#share.grow(heldBytesOf(last));
      this.#response.end(last);
    }
    this.#arm();
  }

  /** A reply behind another one of its connection has no socket yet: that it waits is not its caller's doing. */
  #arm(): void {
    if (this.#lifetime.isOver) return;
    if (this.#response.socket === null) {
      this.#response.once("socket", () => this.#arm());
      return;
    }
    this.#disarm();
    this.#stallTimer = setTimeout(() => this.#share.disconnect(), this.#stallMs);
  }

  #disarm(): void {
    if (this.#stallTimer !== null) clearTimeout(this.#stallTimer);
    this.#stallTimer = null;
  }

  #drop(): void {
    this.#disarm();
    this.#waiting = [];
    this.#share.release();
    this.#tellReady();
  }
}

function cut(whole: OutgoingText, from: number, to: number): OutgoingText {
  return typeof whole === "string" ? whole.slice(from, to) : whole.subarray(from, to);
}
