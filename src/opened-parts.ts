/** What a server is made of, while it opens and while it runs, and the one way in which it ends. */
import type { Entrance } from "./access/entrance.js";
import type { Backend } from "./backend/backend.js";
import type { JobWork } from "./jobs/job-work.js";
import type { HeldByListener } from "./listen/http/listener.js";
import { closeListeners, type Listeners } from "./listeners.js";
import { EventLoopDelay } from "./metrics/event-loop-delay.js";
import type { StatusFeed } from "./metrics/status-feed.js";
import type { NatsLink } from "./nats/connection.js";
import type { Profiles } from "./profile/profiles.js";
import type { Tracing } from "./tracing/open-tracing.js";
import { within } from "./work/within.js";

/** Where draining took all of its time: the spans of what was cut off are those that somebody will ask for. */
const lastSpansMsMin = 1_000;
/** Where all is answered already: nobody waits longer for a collector that takes nothing. */
const lastSpansMsMax = 5_000;

/** Before there is a listener. */
const nothingHeld: HeldByListener = { connections: 0, bodiesBytes: 0, repliesBytes: 0 };

/** In the order in which they are opened; null: not yet, or this server has none. */
export class OpenedParts {
  link: NatsLink | null = null;
  entrance: Entrance | null = null;
  backend: Backend | null = null;
  jobs: JobWork | null = null;
  feed: StatusFeed | null = null;
  tracing: Tracing | null = null;
  profiles: Profiles | null = null;
  listeners: Listeners | null = null;
  readonly delay: EventLoopDelay = new EventLoopDelay();

  held(): HeldByListener {
    return this.listeners?.http?.held() ?? nothingHeld;
  }

  /**
   * Readiness goes first; then work in flight is finished, for at most `drainMs`; then the ports and the pipelines go. False where
   * work was cut off. From wherever the start has come, and once.
   */
  async end(drainMs: number): Promise<boolean> {
    const { link, entrance, backend, jobs, feed, profiles, tracing, listeners } = this;
    // Who looks on is waited for by nobody.
    feed?.[Symbol.dispose]();
    jobs?.drain();
    backend?.drain();
    // Behind it, so that no other one begins: who waits gets what was seen so far.
    profiles?.[Symbol.dispose]();
    backend?.recorder?.[Symbol.dispose]();
    const endsAtMs = performance.now() + drainMs;
    const working = (listeners?.all ?? []).map((each) => each.drained());
    const answered = await within(drainMs, Promise.all([...working, jobs?.drained()]));
    const leftMs = answered ? Math.max(0, endsAtMs - performance.now()) : 0;
    // Together: whoever is cut off is told so on the connection that is being closed. What is left, if all are answered,
    // is the work of callers in this process.
    const [ended = true] = await Promise.all([
      backend?.stop({ drainMs: leftMs }),
      listeners === null ? null : closeListeners(listeners),
    ]);
    // Behind the listeners, whose callers may ask for jobs, and the pipelines: what of jobs was cut off is run again.
    await jobs?.stop({ drainMs: 0 });
    // Every request has ended, and its spans with it.
    const spansMs = Math.max(lastSpansMsMin, endsAtMs - performance.now());
    await tracing?.close(Math.min(lastSpansMsMax, spansMs));
    await link?.close();
    await entrance?.close();
    this.delay[Symbol.dispose]();
    return answered && ended;
  }
}

/** Does not wait for the work once the signal has come: what it still brings is undone when it is there. */
export async function unlessAborted<T>(
  signal: AbortSignal,
  work: Promise<T>,
  undo: (late: T) => Promise<unknown> = () => Promise.resolve(),
): Promise<T> {
  let onAbort: () => void = () => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = (): void => reject(signal.reason);
    if (signal.aborted) onAbort();
    else signal.addEventListener("abort", onAbort, { once: true });
  });
  try {
    return await Promise.race([aborted, work]);
  } catch (error) {
    // Nobody is there any more to be told how it ended.
    if (signal.aborted) work.then(undo).catch(() => {});
    throw error;
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
