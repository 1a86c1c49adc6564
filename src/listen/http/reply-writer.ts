/** Writes a reply no faster than the caller takes it: the one way in which every reply leaves. */
import type { ServerResponse } from "node:http";
import { type ReplyBudget, ReplyShare } from "../reply-budget.js";
import type { Lifetime } from "./lifetime.js";

/** What is handed to the socket at once, hence the least that must be taken within `stallMs`. */
const chunkBytes = 16 * 1024;
/** A character takes at most three bytes: so many fit into a chunk whatever they are. */
const shortCharactersMax = chunkBytes / 3;

type Text = string | Buffer;

interface Waiting {
  readonly whole: Text;
  /** Where the next chunk begins. */
  from: number;
}

export interface WriterParts {
  readonly lifetime: Lifetime;
  readonly stallMs: number;
  readonly budget: ReplyBudget;
  readonly disconnect: () => void;
}

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
  #waiting: Waiting[] = [];
  #blocked = false;
  #ended = false;
  #stallTimer: NodeJS.Timeout | null = null;

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
    const whole = textOf(data);
    this.#waiting.push({ whole, from: 0 });
    this.#share.grow(costOf(whole));
    if (!this.#blocked) this.#pump();
  }

  /** Resolves when the caller has taken the last byte, or has left. */
  async end(last?: string | Uint8Array): Promise<void> {
    const done = new Promise<void>((resolve) => {
      this.#lifetime.onEnd(resolve);
    });
    if (this.#lifetime.isOver) return;
    this.#ended = true;
    const whole = last === undefined ? null : textOf(last);
    const isShort = whole !== null && whole.length <= chunkBytes;
    // Head and body in one packet, as most replies are.
    if (isShort && !this.#blocked && this.#waiting.length === 0) this.#finish(whole);
    else if (whole === null) this.#pump();
    else this.write(whole);
    await done;
  }

  #pump(): void {
    this.#disarm();
    let sent = 0;
    while (!this.#blocked && sent < this.#waiting.length) {
      const next = this.#waiting[sent];
      if (next === undefined) break;
      const { whole, from } = next;
      next.from = Math.min(whole.length, from + chunkBytes);
      this.#blocked = !this.#response.write(
        from === 0 && next.from === whole.length ? whole : cut(whole, from, next.from),
      );
      if (next.from < whole.length) continue;
      sent += 1;
      this.#share.shrink(costOf(whole));
    }
    this.#waiting.splice(0, sent);
    if (this.#blocked) this.#arm();
    else if (this.#ended && !this.#response.writableEnded) this.#finish(null);
  }

  #finish(last: Text | null): void {
    if (last === null) this.#response.end();
    else {
      this.#share.grow(costOf(last));
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
  }
}

/** What is long leaves the heap of JavaScript. */
function textOf(data: string | Uint8Array): Text {
  if (typeof data !== "string") return Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  return data.length > shortCharactersMax ? Buffer.from(data) : data;
}

function cut(whole: Text, from: number, to: number): Text {
  return typeof whole === "string" ? whole.slice(from, to) : whole.subarray(from, to);
}

/** At the most, in the heap or beside it, with the place in the list. */
function costOf(whole: Text): number {
  return (typeof whole === "string" ? 2 : 1) * whole.length + 64;
}
