/**
 * Where not everybody may read everything: each subscription is looked at before it counts. The socket is an XPUB that leaves it
 * to us (ZMQ_XPUB_MANUAL): what is granted is granted to whoever sent what was received last, so nothing may come between a
 * receive and its grant. It tells each subscription and each unsubscription; here they become what a socket would tell that
 * counts them itself: each subscription, and of a topic's unsubscriptions the last one.
 */
import { setTimeout as delay } from "node:timers/promises";

export interface GrantingSocket {
  readonly closed: boolean;
  readonly readable: boolean;
  receive(): Promise<readonly Buffer[]>;
  /** For who sent what was received last. */
  grant(topic: Buffer): void;
  withdraw(topic: Buffer): void;
}

export interface GrantedSubscriptionsParts {
  readonly socket: GrantingSocket;
  /** What of a subscription may be read, all as latin1; empty: nothing. */
  readonly grantsOf: (subscription: string) => readonly string[];
  readonly onRefused: () => void;
}

interface Known {
  readonly grants: readonly string[];
  count: number;
}

/** Somebody who has subscribed waits for so long; after a second in which nobody came, a little longer. */
const lookMs = 1;
const idleLookMs = 10;
const busyLooks = 1_000;
const knownMax = 65_536;
const topicBytesMax = 1_024;

export class GrantedSubscriptions implements AsyncIterable<readonly Buffer[]> {
  readonly #parts: GrantedSubscriptionsParts;
  readonly #known = new Map<string, Known>();
  /** Ends when the one who came last has done with the socket. */
  #last: Promise<void> = Promise.resolve();
  #isAstray = false;

  constructor(parts: GrantedSubscriptionsParts) {
    this.#parts = parts;
  }

  /**
   * Nothing else may be done with the socket between a receive and its grant: whatever it does then may see somebody leave, and ZeroMQ
   * forgets who sent what was received last; what is granted is granted to nobody, who waits for ever.
   */
  async use<Result>(action: () => Promise<Result>): Promise<Result> {
    const leave = await this.#enter();
    try {
      return await action();
    } finally {
      leave();
    }
  }

  /** No receive that waits: it would end whenever something comes, beside whatever else goes on. */
  async *[Symbol.asyncIterator](): AsyncGenerator<readonly Buffer[]> {
    const { socket } = this.#parts;
    let looks = 0;
    while (!socket.closed) {
      const told = await this.use(() => this.#look());
      if (told === undefined) {
        await delay(looks < busyLooks ? lookMs : idleLookMs);
        looks += 1;
        continue;
      }
      looks = 0;
      if (told !== null) yield [told];
    }
  }

  async #enter(): Promise<() => void> {
    const before = this.#last;
    let leave = (): void => {};
    this.#last = new Promise((resolve) => {
      leave = resolve;
    });
    await before;
    return leave;
  }

  /** What came next, as the socket would tell it; null: it says nothing new; undefined: nothing is there. */
  async #look(): Promise<Buffer | null | undefined> {
    const { socket } = this.#parts;
    if (socket.closed) return undefined;
    if (!socket.readable) {
      // With an empty backlog senders and messages stand side by side again.
      this.#isAstray = false;
      return undefined;
    }
    let frames: readonly Buffer[];
    try {
      frames = await socket.receive();
    } catch (error) {
      if (socket.closed) return undefined;
      throw error;
    }
    // Without a wait since it was received.
    return this.#told(frames);
  }

  /** As the socket would tell it; null: it says nothing new. */
  #told(frames: readonly Buffer[]): Buffer | null {
    const [message = Buffer.alloc(0)] = frames;
    const [kind] = message;
    // ZeroMQ keeps no sender for what is no subscription and mistakes the next one's for it: the last of a backlog would be granted to others.
    if (frames.length !== 1 || (kind !== 0 && kind !== 1)) {
      this.#isAstray = true;
      this.#parts.onRefused();
      return null;
    }
    const topic = message.toString("latin1", 1);
    const isNews = kind === 1 ? this.#subscribed(topic) : this.#unsubscribed(topic);
    return isNews ? message : null;
  }

  #subscribed(topic: string): boolean {
    const { socket, grantsOf, onRefused } = this.#parts;
    const known = this.#known.get(topic);
    const isSafe = !this.#isAstray && topic.length <= topicBytesMax;
    const grants = isSafe ? grantsOf(topic) : [];
    const hasRoom = known !== undefined || this.#known.size < knownMax;
    if (grants.length === 0 || !hasRoom) {
      onRefused();
      return false;
    }
    for (const grant of grants) socket.grant(Buffer.from(grant, "latin1"));
    this.#known.set(topic, { grants, count: (known?.count ?? 0) + 1 });
    return true;
  }

  #unsubscribed(topic: string): boolean {
    const known = this.#known.get(topic);
    if (known === undefined) return false;
    if (!this.#isAstray) {
      for (const grant of known.grants) this.#parts.socket.withdraw(Buffer.from(grant, "latin1"));
    }
    known.count -= 1;
    if (known.count > 0) return false;
    this.#known.delete(topic);
    return true;
  }
}
