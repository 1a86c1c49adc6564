/** Virtual time: the rooms and the pipelines run on it, a second takes no time, and every seed repeats. */
import type { Clock } from "../work/clock.js";

interface Timer {
  readonly atMs: number;
  readonly order: number;
  /** `world`: of what happens outside of the rooms. */
  readonly kind: "rooms" | "background" | "world";
  /** Null: taken back. */
  run: (() => void) | null;
}

/** Timers run in the order of their time, and of their making where times are equal. */
export class VirtualClock implements Clock {
  /** Timers that ran, but for those that only look at things from time to time: these never end. */
  events = 0;
  #nowMs = 0;
  #scheduled = 0;
  readonly #waiting = { rooms: 0, background: 0, world: 0 };
  /** A heap: the children of the timer at `n` are at `2n + 1` and `2n + 2`. */
  readonly #heap: Timer[] = [];
  readonly #lateMs: () => number;

  /** `lateMs`: how late a timer of the rooms runs, as a busy event loop's do; asked for each. Default: never. */
  constructor(lateMs: () => number = () => 0) {
    this.#lateMs = lateMs;
  }

  /** Timers that were made and neither ran nor were taken back, by who made them. */
  get waiting(): Readonly<Record<Timer["kind"], number>> {
    return this.#waiting;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  now(): number {
    return this.#nowMs;
  }

  after(delayMs: number, action: () => void, kind?: "background"): () => void {
    return this.#add(this.#nowMs + delayMs + this.#lateMs(), action, kind ?? "rooms");
  }

  /** For what happens outside of the rooms: to the moment. */
  at(atMs: number, action: () => void): () => void {
    return this.#add(atMs, action, "world");
  }

  /** The rooms' process stands still for so long; what was due meanwhile runs late, in order. */
  skip(ms: number): void {
    this.#nowMs += ms;
  }

  /** Runs the next timer; false: there is none. */
  advance(): boolean {
    for (let timer = this.#pop(); timer !== undefined; timer = this.#pop()) {
      const { run } = timer;
      if (run === null) continue;
      this.#count(timer, -1);
      timer.run = null;
      if (timer.kind !== "background") this.events += 1;
      this.#nowMs = Math.max(this.#nowMs, timer.atMs);
      run();
      return true;
    }
    return false;
  }

  #add(atMs: number, run: () => void, kind: Timer["kind"]): () => void {
    const timer: Timer = {
      atMs: Math.max(atMs, this.#nowMs),
      order: this.#scheduled++,
      kind,
      run,
    };
    this.#count(timer, 1);
    this.#push(timer);
    return () => {
      if (timer.run !== null) this.#count(timer, -1);
      timer.run = null;
    };
  }

  #count({ kind }: Timer, change: number): void {
    this.#waiting[kind] += change;
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    let at = heap.length;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || isBefore(above, timer)) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = timer;
  }

  #pop(): Timer | undefined {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    let at = 0;
    for (;;) {
      const left = 2 * at + 1;
      const a = heap[left];
      const b = heap[left + 1];
      if (a === undefined) break;
      const takesRight = b !== undefined && isBefore(b, a);
      const next = takesRight ? b : a;
      if (isBefore(last, next)) break;
      heap[at] = next;
      at = takesRight ? left + 1 : left;
    }
    heap[at] = last;
    return first;
  }
}

function isBefore(a: Timer, b: Timer): boolean {
  return a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);
}
