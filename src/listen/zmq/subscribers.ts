/**
 * Who is subscribed to what, as the XPUB socket tells: each subscription, and of a topic's unsubscriptions the last one. Hence
 * who has left: a topic that nobody is subscribed to any more, for longer than a reconnection takes.
 */
export interface SubscribersParts {
  /** So long somebody who has not subscribed is waited for. */
  readonly holdMs: number;
  /** By the first, or by one more. */
  readonly onSubscribed: (topic: string) => void;
  /** At `sinceMs`: what is newer is for who comes next. */
  readonly onLeft: (topic: string, sinceMs: number) => void;
  /** One topic begins with the other: who subscribed to the shorter one reads what is for the longer one. */
  readonly onShared: (shorter: string, longer: string) => void;
  /** More topics than are remembered, or one that is too long. */
  readonly onIgnored: () => void;
}

/** A client whose connection broke is back after 100 ms, as ZeroMQ reconnects by default. */
const leaveMs = 250;
const topicBytesMax = 1_024;
const topicsMax = 65_536;

interface Watch {
  readonly left: () => void;
  readonly sinceMs: number;
}

export class Subscribers {
  readonly #parts: SubscribersParts;
  readonly #topics = new Set<string>();
  /** Those that were subscribed to more than once since somebody was. */
  readonly #shared = new Set<string>();
  /** The same, sorted: those that begin with a text stand together. */
  readonly #sorted: string[] = [];
  readonly #leaving = new Map<string, NodeJS.Timeout>();
  readonly #watches = new Map<string, Set<Watch>>();

  constructor(parts: SubscribersParts) {
    this.#parts = parts;
  }

  has(topic: string): boolean {
    return this.#topics.has(topic);
  }

  isShared(topic: string): boolean {
    return this.#shared.has(topic);
  }

  /** Whether somebody subscribed to a beginning of the topic and not to all of it. */
  isOverheard(topic: string): boolean {
    return this.#shorterThan(topic) !== null;
  }

  /** What came out of the XPUB socket; bytes as latin1. */
  told(message: string): void {
    const topic = message.slice(1);
    if (message.startsWith("\u0001")) this.#subscribe(topic);
    else if (message.startsWith("\u0000")) this.#unsubscribe(topic);
  }

  /**
   * Calls `left` once, when nobody is there who could read what is for the topic. Who asks when the others have just left is new, and
   * has `holdMs` to subscribe. Gives what takes it back.
   */
  watch(topic: string, left: () => void): () => void {
    const own = this.#watches.get(topic) ?? new Set();
    this.#watches.set(topic, own);
    const watch = { left, sinceMs: performance.now() };
    own.add(watch);
    const timer = this.has(topic)
      ? undefined
      : setTimeout(() => {
          if (!this.has(topic)) left();
        }, this.#parts.holdMs);
    return () => {
      clearTimeout(timer);
      own.delete(watch);
      if (own.size === 0 && this.#watches.get(topic) === own) this.#watches.delete(topic);
    };
  }

  close(): void {
    for (const timer of this.#leaving.values()) clearTimeout(timer);
    this.#leaving.clear();
  }

  #subscribe(topic: string): void {
    clearTimeout(this.#leaving.get(topic));
    this.#leaving.delete(topic);
    if (this.#topics.has(topic)) this.#shared.add(topic);
    else if (!this.#remember(topic)) return;
    this.#parts.onSubscribed(topic);
  }

  #remember(topic: string): boolean {
    if (topic.length > topicBytesMax || this.#topics.size >= topicsMax) {
      this.#parts.onIgnored();
      return false;
    }
    const shorter = this.#shorterThan(topic);
    if (shorter !== null) this.#parts.onShared(shorter, topic);
    const at = this.#placeOf(topic);
    const longer = this.#sorted[at];
    if (longer?.startsWith(topic) === true) this.#parts.onShared(topic, longer);
    this.#topics.add(topic);
    this.#sorted.splice(at, 0, topic);
    return true;
  }

  #unsubscribe(topic: string): void {
    if (!this.#topics.delete(topic)) return;
    this.#shared.delete(topic);
    this.#sorted.splice(this.#placeOf(topic), 1);
    const leftMs = performance.now();
    const timer = setTimeout(() => {
      this.#leaving.delete(topic);
      this.#parts.onLeft(topic, leftMs);
      for (const { left, sinceMs } of this.#watches.get(topic) ?? []) if (sinceMs <= leftMs) left();
    }, leaveMs);
    this.#leaving.set(topic, timer);
  }

  #shorterThan(topic: string): string | null {
    for (let length = 0; length < topic.length; length += 1) {
      const beginning = topic.slice(0, length);
      if (this.#topics.has(beginning)) return beginning;
    }
    return null;
  }

  /** Of the first that is not less. */
  #placeOf(topic: string): number {
    let low = 0;
    let high = this.#sorted.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#sorted[middle] ?? "") < topic) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
