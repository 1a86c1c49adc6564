/** The connections of one session, and what is under way for them. */
import type { Channel } from "../../listen/websocket/websocket-front.js";

export class PairSession {
  readonly #feeds = new Set<Channel>();
  readonly #revs = new Set<Channel>();
  readonly #works = new Set<Work>();
  /** While anything is under way none of its connections idles, for it will hear of it. */
  readonly #holds = new Map<Channel, () => void>();

  /** One that nobody else can join has its only connection from the start. */
  constructor(channel?: Channel, as: "feed" | "rev" = "feed") {
    if (channel !== undefined) this.join(channel, as);
  }

  get isEmpty(): boolean {
    return this.#feeds.size === 0 && this.#revs.size === 0;
  }

  join(channel: Channel, as: "feed" | "rev"): void {
    const place = as === "feed" ? this.#feeds : this.#revs;
    place.add(channel);
    if (this.#works.size > 0) this.#hold(channel);
    channel.closed.addEventListener("abort", () => this.#left(channel), { once: true });
  }

  begin(feed: Channel): Work {
    const work = new Work(feed, this.#revs, () => this.#ended(work));
    this.#works.add(work);
    for (const channel of [feed, ...this.#revs]) this.#hold(channel);
    return work;
  }

  #hold(channel: Channel): void {
    if (!this.#holds.has(channel)) this.#holds.set(channel, channel.hold());
  }

  #left(channel: Channel): void {
    this.#feeds.delete(channel);
    this.#revs.delete(channel);
    this.#holds.get(channel)?.();
    this.#holds.delete(channel);
    for (const work of this.#works) work.cancelWhereAlone();
  }

  #ended(work: Work): void {
    this.#works.delete(work);
    for (const [channel, release] of this.#holds) {
      const isWaiting = [...this.#works].some(({ feed }) => feed === channel);
      if (isWaiting || (this.#revs.has(channel) && this.#works.size > 0)) continue;
      this.#holds.delete(channel);
      release();
    }
  }
}

/** A request, and who hears of it. */
class Work {
  readonly feed: Channel;
  readonly #revs: ReadonlySet<Channel>;
  readonly #abort = new AbortController();
  readonly #onEnd: () => void;

  constructor(feed: Channel, revs: ReadonlySet<Channel>, onEnd: () => void) {
    this.feed = feed;
    this.#revs = revs;
    this.#onEnd = onEnd;
  }

  get departed(): AbortSignal {
    return this.#abort.signal;
  }

  say(text: string): void {
    this.feed.say(text);
    for (const rev of this.#revs) rev.say(text);
  }

  cancelWhereAlone(): void {
    if (this.feed.closed.aborted && this.#revs.size === 0) this.#abort.abort();
  }

  end(): void {
    this.#onEnd();
  }
}
