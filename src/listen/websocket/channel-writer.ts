/** Says messages no faster than the peer takes them: the one way in which every message leaves. */
import type { WebSocket } from "ws";
import {
  heldBytesOf,
  type OutgoingText,
  outgoingText,
  partBytes,
  type WaitingText,
} from "../outgoing-text.js";
import { type ReplyBudget, ReplyShare } from "../reply-budget.js";
import type { Rester, Rounds } from "../rounds.js";

/** What may be on its way in the socket. */
const socketBytesMax = 4 * partBytes;
/** Of a message, however short: the socket is written to for each of them. */
const sendCostBytes = 1024;
/** Behind: what waits is more than this. Not any more: less than half of it. */
const behindBytes = 1024 * 1024;

export interface ChannelWriterParts {
  readonly budget: ReplyBudget;
  /** Of all connections. */
  readonly rounds: Rounds;
  readonly stallMs: number;
  /** The peer does not read. */
  readonly onStall: () => void;
  /** Whether more waits than a peer that reads would leave. */
  readonly onBehind: (isBehind: boolean) => void;
}

/**
 *   say ──► #waiting ──► ws.send, a part ──► socket       until the socket has enough
 *                ▲              │
 *                └── it has ◄───┘                         the peer has taken a part
 *                   taken it
 */
export class ChannelWriter implements Rester {
  readonly #ws: WebSocket;
  readonly #parts: ChannelWriterParts;
  readonly #share: ReplyShare;
  #waiting: WaitingText[] = [];
  #waitingBytes = 0;
  /** Handed to the socket, and not taken yet. */
  #sending = 0;
  #isBehind = false;
  #isOver = false;
  #isResting = false;
  #onEmpty: (() => void) | null = null;
  #stallTimer: NodeJS.Timeout | null = null;

  constructor(ws: WebSocket, parts: ChannelWriterParts) {
    this.#ws = ws;
    this.#parts = parts;
    this.#share = new ReplyShare(parts.budget, parts.onStall);
  }

  /** Whether nothing waits for the peer: what keeps it alive may go. */
  get isFree(): boolean {
    return this.#waiting.length === 0 && this.#sending === 0;
  }

  say(text: OutgoingText): void {
    if (this.#isOver) return;
    const whole = outgoingText(text);
    this.#waiting.push({ whole, from: 0 });
    this.#waitingBytes += heldBytesOf(whole);
    this.#share.grow(heldBytesOf(whole));
    this.#pump();
  }

  /** Calls `listener` once, when everything was handed to the socket. */
  whenEmpty(listener: () => void): void {
    this.#onEmpty = listener;
    this.#pump();
  }

  rest(): void {
    this.#isResting = true;
  }

  wake(): void {
    this.#isResting = false;
    this.#pump();
  }

  /** Drops what waits. */
  end(): void {
    this.#isOver = true;
    this.#parts.rounds.forget(this);
    this.#disarm();
    this.#waiting = [];
    this.#waitingBytes = 0;
    this.#share.release();
  }

  #pump(): void {
    let sent = 0;
    while (
      !this.#isOver &&
      !this.#isResting &&
      sent < this.#waiting.length &&
      this.#ws.bufferedAmount < socketBytesMax
    ) {
      const next = this.#waiting[sent];
      if (next === undefined) break;
      const { whole, from } = next;
      next.from =
        typeof whole === "string" ? whole.length : Math.min(whole.length, from + partBytes);
      const isLast = next.from === whole.length;
      this.#send(typeof whole === "string" ? whole : whole.subarray(from, next.from), isLast);
      if (!isLast) continue;
      sent += 1;
      this.#waitingBytes -= heldBytesOf(whole);
      this.#share.shrink(heldBytesOf(whole));
    }
    this.#waiting.splice(0, sent);
    this.#tellBehind();
    if (this.#waiting.length > 0 || this.#onEmpty === null) return;
    const onEmpty = this.#onEmpty;
    this.#onEmpty = null;
    onEmpty();
  }

  #send(part: OutgoingText, isLast: boolean): void {
    this.#sending += 1;
    this.#parts.rounds.took(this, Buffer.byteLength(part) + sendCostBytes);
    if (this.#stallTimer === null) this.#arm();
    this.#ws.send(part, { binary: false, fin: isLast }, () => {
      this.#sending -= 1;
      this.#disarm();
      if (this.#isOver) return;
      if (this.#sending > 0) this.#arm();
      this.#pump();
    });
  }

  #tellBehind(): void {
    const most = this.#isBehind ? behindBytes / 2 : behindBytes;
    const isBehind = this.#waitingBytes > most;
    if (isBehind === this.#isBehind) return;
    this.#isBehind = isBehind;
    this.#parts.onBehind(isBehind);
  }

  #arm(): void {
    this.#stallTimer = setTimeout(() => this.#parts.onStall(), this.#parts.stallMs);
  }

  #disarm(): void {
    if (this.#stallTimer !== null) clearTimeout(this.#stallTimer);
    this.#stallTimer = null;
  }
}
