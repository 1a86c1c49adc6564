import { OrderedHeap } from "#src/scheduler/ordered-heap.js";

interface Timer {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** A virtual clock: timers run in the order of their time, and of their making where times are equal. */
export class VirtualClock {
  nowMs = 0;
  #made = 0;
  readonly #timers = new OrderedHeap<Timer>(
    (a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order),
  );

  at(atMs: number, run: () => void): () => void {
    const timer = { atMs: Math.max(atMs, this.nowMs), order: this.#made++, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  after(ms: number, run: () => void): () => void {
    return this.at(this.nowMs + ms, run);
  }

  /** Runs the next timer; false: there is none. */
  advance(): boolean {
    const timer = this.#timers.peek();
    if (timer === undefined) return false;
    this.#timers.delete(timer);
    this.nowMs = timer.atMs;
    timer.run();
    return true;
  }
}
