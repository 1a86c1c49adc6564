/**
 * Replies on their way out: a queue for each topic, in bounds. They wait here for the first subscription to their topic, and
 * for subscribers that are too slow, so that the socket neither loses them without a word nor keeps them without a bound:
 *
 *   publish ─► queue of the topic ─► subscribed? ─► one send at a time, topics in turn ─► socket
 *                    │ no: held                          │ no room: again soon
 *                    └───────── too long, or too many bytes: dropped, and counted ─────────┘
 *                               what was said to go in its stead, small, takes its place
 */
import type { ZmqDropReason } from "./zmq-front.js";

export type Frame = Buffer | Uint8Array | string;

export interface ReplyQueuesParts {
  readonly topicBytesMax: number;
  readonly bytesMax: number;
  /** For a subscription, and for a reader. */
  readonly holdMs: number;
  readonly readMs: number;
  readonly isSubscribed: (topic: string) => boolean;
  /** Whether it has several subscribers, or somebody reads it who subscribed to a beginning of it. */
  readonly isShared: (topic: string) => boolean;
  readonly isOverheard: (topic: string) => boolean;
  /** Whether the socket had room for it with all that it goes to; where it is lossy, those that have none lose it. */
  readonly send: (frames: readonly Frame[]) => Promise<boolean>;
  readonly setLossy: (isLossy: boolean) => void;
  readonly onDropped: (reason: ZmqDropReason, replies: number) => void;
  /** Of the socket; the queues are closed then. */
  readonly onFailed: (error: unknown) => void;
}

interface Waiting {
  readonly frames: readonly Frame[];
  readonly bytes: number;
  readonly sinceMs: number;
  readonly audience: Audience;
  readonly instead: readonly Frame[] | null;
}

/** `newcomers`: also who subscribes a moment later, where the topic has others already. */
export type Audience = "subscribers" | "newcomers";

export interface ReplyOptions {
  readonly audience?: Audience;
  /** Small: goes out in its stead where it is dropped though somebody reads, so that nobody waits for ever. */
  readonly instead?: readonly Frame[];
}

interface Sent {
  readonly frames: readonly Frame[];
  readonly bytes: number;
  readonly atMs: number;
}

interface Queue {
  readonly waiting: Waiting[];
  bytes: number;
  /** Those that something can go instead of. */
  heavy: number;
  /** The socket had no room at that time; until it has, the queue is looked at now and then. */
  fullSinceMs: number | null;
  retryMs: number;
}

interface Lightening {
  readonly but?: number;
  readonly isEnough?: () => boolean;
}

/**
 * Where a topic has, or a moment ago had, another client, the first reply to a new one may go out to that one alone, before the new
 * one's subscription is there: if it was sent within `holdMs` it is sent again then.
 */
const recentBytesMax = 4 * 1024 * 1024;
const recentReplyBytesMax = 64 * 1024;
/** Beside its frames. */
const recentEntryBytes = 256;
const retryMsMin = 1;
const retryMsMax = 50;
const sweepMs = 250;
/** One who does not read must not hold up others for longer; who listens to what is not for them least of all. */
const sharedMs = 1_000;
const overheardMs = 20;
const lossyMs = 60_000;
/** Sends without a turn for others. */
const sendsInTurn = 64;

export class ReplyQueues {
  readonly #parts: ReplyQueuesParts;
  readonly #queues = new Map<string, Queue>();
  /** Topics with something to send, in turn. */
  readonly #ready = new Set<string>();
  readonly #retries = new Set<NodeJS.Timeout>();
  /** By topic, oldest first; the one that was sent to last stands last. */
  readonly #recent = new Map<string, Sent[]>();
  #recentBytes = 0;
  #bytes = 0;
  #heavy = 0;
  #lossyUntilMs: number | null = null;
  #isPumping = false;
  #isClosed = false;
  #sweep: NodeJS.Timeout | null = null;
  #onIdle: (() => void)[] = [];

  constructor(parts: ReplyQueuesParts) {
    this.#parts = parts;
  }

  get heldBytes(): number {
    return this.#bytes;
  }

  publish(
    topic: string,
    frames: readonly Frame[],
    { audience = "subscribers", instead }: ReplyOptions = {},
  ): void {
    if (this.#isClosed) {
      this.#parts.onDropped("departed", 1);
      return;
    }
    const queue = this.#queues.get(topic) ?? newQueue();
    this.#queues.set(topic, queue);
    const bytes = bytesOf(frames);
    const waiting = { frames, bytes, sinceMs: performance.now(), audience };
    queue.waiting.push({ ...waiting, instead: instead ?? null });
    this.#count(queue, bytes, instead === undefined ? 0 : 1);
    if (queue.bytes > this.#parts.topicBytesMax)
      this.#lighten(queue, "bytes", {
        but: 1,
        isEnough: () => queue.bytes <= this.#parts.topicBytesMax,
      });
    while (queue.bytes > this.#parts.topicBytesMax && queue.waiting.length > 1) {
      this.#shift(topic, queue);
      this.#parts.onDropped("bytes", 1);
    }
    this.#makeRoom(topic);
    this.#sweep ??= setInterval(() => this.#expire(), sweepMs);
    if (this.#parts.isSubscribed(topic)) this.#makeReady(topic, queue);
  }

  /** By the first, or by one more. */
  subscribed(topic: string): void {
    for (const { frames } of this.#recentTo(topic)) this.publish(topic, frames);
    const queue = this.#queues.get(topic);
    if (queue !== undefined) this.#makeReady(topic, queue);
  }

  /** Who was subscribed has left at `sinceMs`; what came after is held for who subscribes next. */
  left(topic: string, sinceMs: number): void {
    this.#drop(topic, "departed", sinceMs);
  }

  /** Resolves when nothing waits. */
  async idle(): Promise<void> {
    if (this.#queues.size === 0 && !this.#isPumping) return;
    await new Promise<void>((resolve) => this.#onIdle.push(resolve));
  }

  close(): void {
    this.#isClosed = true;
    for (const topic of this.#queues.keys()) this.#drop(topic, "departed");
    for (const timer of this.#retries) clearTimeout(timer);
    this.#tellIdle();
  }

  #makeReady(topic: string, queue: Queue): void {
    // Who waits for room in the socket is looked at by its timer.
    if (queue.fullSinceMs !== null) return;
    this.#ready.add(topic);
    void this.#pump();
  }

  async #pump(): Promise<void> {
    if (this.#isPumping) return;
    this.#isPumping = true;
    try {
      // Again, for what became ready between its end and this line.
      while (this.#ready.size > 0) await this.#sendReady();
    } catch (error) {
      // Nothing can be sent any more.
      this.#parts.onFailed(error);
      this.close();
    } finally {
      this.#isPumping = false;
      this.#tellIdle();
    }
  }

  async #sendReady(): Promise<void> {
    let sends = 0;
    for (const topic of this.#ready) {
      this.#ready.delete(topic);
      const queue = this.#queues.get(topic);
      const [head] = queue?.waiting ?? [];
      if (queue === undefined || head === undefined) continue;
      if (!this.#parts.isSubscribed(topic)) {
        // Who subscribes next has room.
        queue.fullSinceMs = null;
        continue;
      }
      this.#endLoss();
      // Before the wait: what is dropped meanwhile must not be taken for this one.
      this.#shift(topic, queue, { keep: true });
      const isSent = await this.#parts.send(head.frames);
      if (isSent) {
        this.#remember(topic, head);
        queue.fullSinceMs = null;
        queue.retryMs = retryMsMin;
        if (queue.waiting.length > 0) this.#ready.add(topic);
        else this.#forget(topic, queue);
      } else this.#retryLater(topic, queue, head);
      sends += 1;
      if (sends % sendsInTurn === 0) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #retryLater(topic: string, queue: Queue, head: Waiting): void {
    // All of the topic may have been dropped meanwhile.
    if (this.#queues.get(topic) !== queue) {
      this.#parts.onDropped("departed", 1);
      return;
    }
    queue.waiting.unshift(head);
    this.#count(queue, head.bytes, head.instead === null ? 0 : 1);
    queue.fullSinceMs ??= performance.now();
    const fullMs = performance.now() - queue.fullSinceMs;
    const { isOverheard, isShared, readMs } = this.#parts;
    const isHeldUp =
      (fullMs > overheardMs && isOverheard(topic)) || (fullMs > sharedMs && isShared(topic));
    if (isHeldUp) {
      this.#beginLoss();
      this.#ready.add(topic);
      return;
    }
    if (fullMs > readMs) {
      if (this.#lighten(queue, "slow") === 0) {
        this.#drop(topic, "slow");
        return;
      }
      queue.fullSinceMs = performance.now();
    }
    const timer = setTimeout(() => {
      this.#retries.delete(timer);
      this.#ready.add(topic);
      void this.#pump();
    }, queue.retryMs);
    queue.retryMs = Math.min(retryMsMax, 2 * queue.retryMs);
    this.#retries.add(timer);
  }

  #remember(topic: string, { frames, bytes, audience }: Waiting): void {
    if (audience === "subscribers" || bytes > recentReplyBytesMax) return;
    const sent = this.#recentTo(topic);
    const taken = bytes + recentEntryBytes;
    sent.push({ frames, bytes: taken, atMs: performance.now() });
    this.#recent.delete(topic);
    this.#recent.set(topic, sent);
    this.#recentBytes += taken;
    if (this.#recentBytes > recentBytesMax) this.#forgetOldest();
  }

  #recentTo(topic: string): Sent[] {
    const sent = this.#recent.get(topic) ?? [];
    const since = performance.now() - this.#parts.holdMs;
    while (sent[0] !== undefined && sent[0].atMs < since) this.#forgetFirst(sent);
    if (sent.length === 0) this.#recent.delete(topic);
    return sent;
  }

  #forgetOldest(): void {
    for (const [topic, sent] of this.#recent) {
      while (sent.length > 0 && this.#recentBytes > recentBytesMax / 2) this.#forgetFirst(sent);
      if (sent.length > 0) return;
      this.#recent.delete(topic);
    }
  }

  #forgetFirst(sent: Sent[]): void {
    this.#recentBytes -= sent.shift()?.bytes ?? 0;
  }

  /** For a while whoever does not read loses what others read. */
  #beginLoss(): void {
    if (this.#lossyUntilMs === null) this.#parts.setLossy(true);
    this.#lossyUntilMs = performance.now() + lossyMs;
    this.#parts.onDropped("slow", 1);
  }

  #endLoss(): void {
    if (this.#lossyUntilMs === null || performance.now() < this.#lossyUntilMs) return;
    this.#lossyUntilMs = null;
    this.#parts.setLossy(false);
  }

  /** The topics whose replies have waited longest go first; never the one that was just added to, where it has one only. */
  #makeRoom(added: string): void {
    const own = this.#queues.get(added)?.heavy ?? 0;
    for (const [topic, queue] of this.#queues) {
      if (this.#bytes <= this.#parts.bytesMax || this.#heavy <= own) break;
      if (topic !== added)
        this.#lighten(queue, "bytes", { isEnough: () => this.#bytes <= this.#parts.bytesMax });
    }
    for (const topic of this.#queues.keys()) {
      if (this.#bytes <= this.#parts.bytesMax) return;
      if (topic !== added) this.#drop(topic, "bytes");
    }
  }

  #expire(): void {
    const now = performance.now();
    const { holdMs, readMs, isSubscribed, onDropped } = this.#parts;
    for (const [topic, queue] of this.#queues) {
      const isHeld = !isSubscribed(topic);
      const waitMs = isHeld ? holdMs : readMs;
      let dropped = 0;
      const [head] = queue.waiting;
      if (!isHeld && head !== undefined && now - head.sinceMs > waitMs) {
        this.#lighten(queue, "slow");
      }
      while (queue.waiting.length > 0 && now - (queue.waiting[0]?.sinceMs ?? now) > waitMs) {
        this.#shift(topic, queue);
        dropped += 1;
      }
      if (dropped > 0) onDropped(isHeld ? "unclaimed" : "slow", dropped);
    }
    this.#tellIdle();
  }

  /** What has waited since `sinceMs` or longer. */
  #drop(topic: string, reason: ZmqDropReason, sinceMs = Number.POSITIVE_INFINITY): void {
    const queue = this.#queues.get(topic);
    if (queue === undefined) return;
    let replies = 0;
    for (let [head] = queue.waiting; head !== undefined; [head] = queue.waiting) {
      if (head.sinceMs > sinceMs) break;
      this.#shift(topic, queue);
      replies += 1;
    }
    this.#forget(topic, queue);
    if (replies > 0) this.#parts.onDropped(reason, replies);
  }

  /** What goes instead takes the places of all but the last `but`, the oldest first. Gives of how many. */
  #lighten(
    queue: Queue,
    reason: ZmqDropReason,
    { but = 0, isEnough = (): boolean => false }: Lightening = {},
  ): number {
    let replies = 0;
    for (const [at, { instead, bytes, audience }] of queue.waiting.entries()) {
      if (queue.heavy === 0 || at >= queue.waiting.length - but || isEnough()) break;
      if (instead === null) continue;
      const light = bytesOf(instead);
      const sinceMs = performance.now();
      queue.waiting[at] = { frames: instead, bytes: light, sinceMs, audience, instead: null };
      this.#count(queue, light - bytes, -1);
      replies += 1;
    }
    if (replies > 0) this.#parts.onDropped(reason, replies);
    return replies;
  }

  #count(queue: Queue, bytes: number, heavy: number): void {
    queue.bytes += bytes;
    this.#bytes += bytes;
    queue.heavy += heavy;
    this.#heavy += heavy;
  }

  #shift(topic: string, queue: Queue, { keep = false } = {}): void {
    const first = queue.waiting.shift();
    if (first !== undefined) this.#count(queue, -first.bytes, first.instead === null ? 0 : -1);
    if (!keep && queue.waiting.length === 0) this.#forget(topic, queue);
  }

  #forget(topic: string, queue: Queue): void {
    if (this.#queues.get(topic) === queue && queue.waiting.length === 0) {
      this.#queues.delete(topic);
      this.#ready.delete(topic);
    }
  }

  #tellIdle(): void {
    if (this.#queues.size > 0 || this.#isPumping) return;
    if (this.#sweep !== null) clearInterval(this.#sweep);
    this.#sweep = null;
    for (const resolve of this.#onIdle) resolve();
    this.#onIdle = [];
  }
}

function newQueue(): Queue {
  return { waiting: [], bytes: 0, heavy: 0, fullSinceMs: null, retryMs: retryMsMin };
}

function bytesOf(frames: readonly Frame[]): number {
  return frames.reduce((sum, frame) => sum + Buffer.byteLength(frame), 0);
}
