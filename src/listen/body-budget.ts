/**
 * The bytes of all bodies that are being read or parsed, counted as they arrive. Where they are too many, the heaviest
 * goes: what it holds times how long it has held it without progress. A caller with one sentence is served while
 * hundreds of others send all that they may, and so is a caller with much to send while hundreds of others send nothing.
 *
 *   grow ─► fits? taken                                  held ≤ bytesMax, or one body that is alone
 *           else the heaviest of the others is refused, again and again
 *           else (this is the heaviest) it is refused itself
 *
 *   #arriving   …4 KiB  b b b b      Queues by size, each in the order of the last progress: the heaviest is the oldest of
 *               …8 KiB  b b          one of them, or has less than twice its weight. So a victim costs a look at each
 *               …                    queue, whatever the number of bodies.
 */
import { MillraceError } from "millrace-client/wire";
import { AgeQueue, type QueuePlace } from "./age-queue.js";

/** Reading a body takes a fraction of a second; the smallest wait that the header can say. */
const retryAfterMs = 1_000;
/**
 * Added to the time without progress: a body that has just come weighs something too, and a pause that is usual on a
 * network, or while we read the others, makes no difference.
 */
const usualPauseMs = 100;
/** Progress is at least this part of what is held: whoever sends a byte now and then has stalled. */
const progressPart = 1 / 16;

export class BodyBudget {
  readonly #bytesMax: number;
  readonly #nowMs: () => number;
  readonly #arriving = new SizeQueues();
  /** Whole, and waiting for us to decompress them: their time is no fault of theirs. */
  readonly #arrived = new SizeQueues();
  #heldBytes = 0;

  constructor(bytesMax: number, nowMs: () => number = () => performance.now()) {
    this.#bytesMax = bytesMax;
    this.#nowMs = nowMs;
  }

  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** `refuse` is called at most once, while the share is open and not settled: the body must give up all it has. */
  open(refuse: (error: MillraceError) => void): BodyShare {
    return new BodyShare(this, refuse, this.#nowMs());
  }

  /** @throws MillraceError `queue_full`; then nothing was taken. */
  take(share: BodyShare, bytes: number): void {
    const nowMs = this.#nowMs();
    const weight = weightOf(share, nowMs, share.bytes + bytes);
    while (this.#heldBytes + bytes > this.#bytesMax && this.#heldBytes > share.bytes) {
      const heaviest = this.#heaviestBut(share, nowMs);
      if (heaviest === null || weightOf(heaviest, nowMs) <= weight) throw this.#full();
      heaviest.evict(this.#full());
    }
    this.#heldBytes += bytes;
  }

  giveBack(bytes: number): void {
    this.#heldBytes -= bytes;
  }

  /** To the end of the queue in which it belongs now, if any. */
  enqueue(share: BodyShare): void {
    share.lastProgressMs = this.#nowMs();
    share.place?.queue.remove(share.place);
    share.place = null;
    if (share.bytes === 0 || share.state === "settled") return;
    const queues = share.state === "arriving" ? this.#arriving : this.#arrived;
    share.place = queues.append(share);
  }

  #heaviestBut(share: BodyShare, nowMs: number): BodyShare | null {
    let heaviest: BodyShare | null = null;
    let weight = 0;
    for (const queues of [this.#arriving, this.#arrived]) {
      for (const oldest of queues.oldestBut(share)) {
        const other = weightOf(oldest, nowMs);
        if (heaviest !== null && other <= weight) continue;
        heaviest = oldest;
        weight = other;
      }
    }
    return heaviest;
  }

  #full(): MillraceError {
    const message = `The bodies that are being read have ${this.#bytesMax} bytes already (--bodies-bytes-max); come again later.`;
    return new MillraceError("queue_full", message, { retryAfterMs });
  }
}

function weightOf(share: BodyShare, nowMs: number, bytes: number = share.bytes): number {
  const waitedMs = share.state === "arriving" ? nowMs - share.lastProgressMs : 0;
  return bytes * (usualPauseMs + waitedMs);
}

/** A queue for each power of two: as many as a number of bytes has bits. */
class SizeQueues {
  readonly #queues: AgeQueue<BodyShare>[] = [];

  append(share: BodyShare): QueuePlace<BodyShare> {
    const at = Math.floor(Math.log2(share.bytes));
    while (this.#queues.length <= at) this.#queues.push(new AgeQueue());
    const queue = this.#queues[at];
    if (queue === undefined) throw new Error("a queue was added");
    return queue.append(share);
  }

  *oldestBut(share: BodyShare): Generator<BodyShare> {
    for (const { oldest } of this.#queues) {
      const place = oldest?.value === share ? oldest.newer : oldest;
      if (place !== null) yield place.value;
    }
  }
}

export class BodyShare {
  readonly #budget: BodyBudget;
  readonly #refuse: (error: MillraceError) => void;
  #bytes = 0;
  /** Since the last progress. */
  #receivedBytes = 0;
  #state: "arriving" | "arrived" | "settled" = "arriving";
  /** These two are the budget's. */
  lastProgressMs: number;
  place: QueuePlace<BodyShare> | null = null;

  constructor(budget: BodyBudget, refuse: (error: MillraceError) => void, nowMs: number) {
    this.#budget = budget;
    this.#refuse = refuse;
    this.lastProgressMs = nowMs;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get state(): "arriving" | "arrived" | "settled" {
    return this.#state;
  }

  /** The caller has sent so many more, whether or not they need memory. Comes before `grow`. */
  received(bytes: number): void {
    this.#receivedBytes += bytes;
    if (this.#receivedBytes >= this.#bytes * progressPart) this.#progress();
  }

  /** @throws MillraceError `queue_full`; then nothing was taken. */
  grow(bytes: number): void {
    this.#budget.take(this, bytes);
    this.#bytes += bytes;
    this.#progress();
  }

  shrink(bytes: number): void {
    this.#bytes -= bytes;
    this.#budget.giveBack(bytes);
    this.#progress();
  }

  /** The caller has sent all: from now on the body waits for us, and time does not count against it. */
  arrived(): void {
    this.#state = "arrived";
    this.#progress();
  }

  /** Of a body that is taken as it comes: whether it waits for us, or we for more of it. */
  waitsForUs(isWaiting: boolean): void {
    const state = isWaiting ? "arrived" : "arriving";
    if (this.#state === "settled" || this.#state === state) return;
    this.#state = state;
    this.#progress();
  }

  /** The body is in use, and not refused any more. */
  settle(): void {
    this.#state = "settled";
    this.#progress();
  }

  /** Again: nothing. */
  release(): void {
    this.shrink(this.#bytes);
  }

  evict(error: MillraceError): void {
    this.release();
    this.settle();
    this.#refuse(error);
  }

  #progress(): void {
    this.#receivedBytes = 0;
    this.#budget.enqueue(this);
  }
}
