/** Several ways to subscribe to one topic: it is subscribed to as long as one of them is. */
export class TopicWays {
  readonly #topicOf: (way: string) => string;
  readonly #ways = new Map<string, Set<string>>();

  constructor(topicOf: (way: string) => string) {
    this.#topicOf = topicOf;
  }

  /** What came out of the XPUB socket, as it would be if there were one way only; null: it says nothing new. */
  told(message: string): string | null {
    const isSubscription = message.startsWith("\u0001");
    const way = message.slice(1);
    const topic = this.#topicOf(way);
    const ways = this.#ways.get(topic) ?? new Set();
    // What is not remembered counts as the only one.
    if (!isSubscription) ways.delete(way);
    else if (way.length <= wayBytesMax && ways.size < waysMax && this.#hasRoom(topic)) {
      this.#ways.set(topic, ways.add(way));
    }
    if (ways.size === 0) this.#ways.delete(topic);
    return isSubscription || ways.size === 0 ? message[0] + topic : null;
  }

  #hasRoom(topic: string): boolean {
    return this.#ways.size < topicsMax || this.#ways.has(topic);
  }
}

/** Of one topic; protocols have two or three. */
const waysMax = 8;
const wayBytesMax = 1_024;
const topicsMax = 65_536;
