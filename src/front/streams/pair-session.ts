/** The connections of one session, and what is under way for them. */
import type { Channel } from "../../listen/websocket/websocket-front.js";

export class PairSession {
  readonly #feeds = new Set<Channel>();
  readonly #revs = new Set<Channel>();
  /** What each feed asked, also one that has left; none is empty. */
  readonly #works = new Map<Channel, Set<Work>>();
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
    if (as === "rev" && this.#works.size > 0) this.#hold(channel);
    channel.closed.addEventListener("abort", () => this.#left(channel), { once: true });
  }

  begin(feed: Channel): Work {
    const work = new Work(feed, this.#revs, () => this.#ended(work));
    // Who hears of it is held from the first work on.
    if (this.#works.size === 0) for (const rev of this.#revs) this.#hold(rev);
    const own = this.#works.get(feed);
    if (own === undefined) {
      this.#works.set(feed, new Set([work]));
      this.#hold(feed);
    } else own.add(work);
    return work;
  }

  #hold(channel: Channel): void {
    if (!this.#holds.has(channel)) this.#holds.set(channel, channel.hold());
  }

  #release(channel: Channel): void {
    const release = this.#holds.get(channel);
    this.#holds.delete(channel);
    release?.();
  }

  #left(channel: Channel): void {
    this.#feeds.delete(channel);
    this.#revs.delete(channel);
    this.#release(channel);
    if (this.#revs.size > 0) return;
    for (const [feed, works] of this.#works) {
      if (feed.closed.aborted) for (const work of works) work.cancel();
    }
  }

  #ended(work: Work): void {
    const own = this.#works.get(work.feed);
    own?.delete(work);
    if (own === undefined || own.size > 0) return;
    this.#works.delete(work.feed);
    this.#release(work.feed);
    if (this.#works.size === 0) for (const rev of this.#revs) this.#release(rev);
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

  /** The same bytes for all of them: a long reply is not made for each. */
  say(text: string): void {
    const whole = this.#revs.size === 0 ? text : Buffer.from(text);
    this.feed.say(whole);
    for (const rev of this.#revs) rev.say(whole);
  }

  /** Nobody is left who would hear of it. */
  cancel(): void {
    this.#abort.abort();
  }

  end(): void {
    this.#onEnd();
  }
}
