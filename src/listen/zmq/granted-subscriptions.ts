/**
 * Where not everybody may read everything: each subscription is looked at before it counts. The socket is an XPUB that leaves it
 * to us (ZMQ_XPUB_MANUAL): what is granted is granted to whoever sent what was received last, so nothing may come between a
 * receive and its grant. It tells each subscription and each unsubscription; here they become what a socket would tell that
 * counts them itself: each subscription, and of a topic's unsubscriptions the last one.
 */
export interface GrantingSocket {
  readonly closed: boolean;
  readonly readable: boolean;
  /** Waits for the next one. */
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

const knownMax = 65_536;
const topicBytesMax = 1_024;

export class GrantedSubscriptions implements AsyncIterable<readonly Buffer[]> {
  readonly #parts: GrantedSubscriptionsParts;
  readonly #known = new Map<string, Known>();
  #isAstray = false;
  #isGranting = false;

  constructor(parts: GrantedSubscriptionsParts) {
    this.#parts = parts;
  }

  /**
   * Nothing may be sent now. A send may see somebody leave, and ZeroMQ forgets then who sent what was received last; what is granted
   * would be granted to nobody, who waits for ever.
   */
  get isGranting(): boolean {
    return this.#isGranting;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<readonly Buffer[]> {
    const { socket } = this.#parts;
    while (!socket.closed) {
      // With an empty backlog senders and messages stand side by side again.
      if (this.#isAstray && !socket.readable) this.#isAstray = false;
      let told: Buffer | null;
      try {
        told = await this.#receive();
      } catch (error) {
        if (socket.closed) return;
        throw error;
      }
      if (told !== null) yield [told];
    }
  }

  /**
   * Something is there at once, and is granted before the microtask that is queued behind it; or it comes later, out of the event
   * loop or within a send, and its grant is the first microtask of those that follow.
   */
  #receive(): Promise<Buffer | null> {
    const told = this.#parts.socket.receive().then((frames) => this.#told(frames));
    this.#isGranting = true;
    queueMicrotask(() => {
      this.#isGranting = false;
    });
    return told;
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
