import { MillraceError } from "./wire/index.js";

/** How long one step may take, and what it fails with then. */
export interface Wait {
  readonly ms: number;
  readonly reason: (ms: number) => MillraceError;
}

/**
 * The lifetime of one call or one attempt: ends when any parent signal aborts, when `abort` is called or when
 * the limit is over. `end()` takes its listeners and timers back, so that a signal that lives as long as the
 * caller's process gathers nothing. (`AbortSignal.any` leaves that to the garbage collector.)
 */
export class Scope {
  readonly #controller = new AbortController();
  readonly #undo: (() => void)[] = [];

  constructor(parents: readonly (AbortSignal | undefined)[]) {
    for (const parent of parents) {
      if (parent === undefined) continue;
      if (parent.aborted) {
        this.abort(abortFailure(parent));
        return;
      }
      this.#undo.push(onceAborted(parent, () => this.abort(abortFailure(parent))));
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(reason: MillraceError): void {
    this.#controller.abort(reason);
  }

  /** Aborts with what `reason` returns unless `end()` comes within `ms`. */
  limit(ms: number, reason: () => MillraceError): void {
    const timer = setTimeout(() => this.abort(reason()), timerMs(ms));
    this.#undo.push(() => clearTimeout(timer));
  }

  /**
   * Waits for `promise`, and aborts the scope with `reason` when that takes longer than `ms`. Once the scope has
   * aborted it waits no more, for a caller's own `fetch` may not hear the signal.
   */
  async within<T>(wait: Wait, promise: Promise<T>): Promise<T> {
    const { signal } = this;
    const { ms, reason } = wait;
    const timer = setTimeout(() => this.abort(reason(ms)), timerMs(ms));
    let onAbort: () => void = () => undefined;
    const aborted = new Promise<never>((_resolve, reject) => {
      onAbort = () => reject(abortFailure(signal));
      if (signal.aborted) onAbort();
      else signal.addEventListener("abort", onAbort, { once: true });
    });
    try {
      return await Promise.race([promise, aborted]);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    }
  }

  end(): void {
    for (const undo of this.#undo.splice(0)) undo();
  }
}

/**
 * Who hears of a signal, however many they are, by one listener: a thousand calls with one signal are no leak, and
 * Node would warn of one from the eleventh listener on.
 */
const hearers = new WeakMap<AbortSignal, Set<() => void>>();

/** Calls `hear` once when `signal` aborts; the returned function takes that back. */
function onceAborted(signal: AbortSignal, hear: () => void): () => void {
  const known = hearers.get(signal);
  const all = known ?? new Set();
  all.add(hear);
  if (known === undefined) {
    hearers.set(signal, all);
    signal.addEventListener("abort", onAbort);
  }
  return () => {
    if (!all.delete(hear) || all.size > 0) return;
    hearers.delete(signal);
    signal.removeEventListener("abort", onAbort);
  };
}

function onAbort({ target }: Event): void {
  const all = hearers.get(target as AbortSignal) ?? new Set();
  for (const hear of all) hear();
}

/** Rejects with the signal's failure when it aborts first. */
export function delay(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) {
      reject(abortFailure(signal));
      return;
    }
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(abortFailure(signal));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", onAbort);
      resolve();
    }, timerMs(ms));
    signal.addEventListener("abort", onAbort, { once: true });
  });
}

/** What a call fails with when `signal` aborted: `cancelled`, or `deadline_exceeded` where a timer did it. */
export function abortFailure(signal: AbortSignal): MillraceError {
  const reason: unknown = signal.reason;
  if (reason instanceof MillraceError) return reason;
  if (reason instanceof Error && reason.name === "TimeoutError") {
    return new MillraceError("deadline_exceeded", "The caller's time was over.", { cause: reason });
  }
  return new MillraceError("cancelled", "The caller aborted.", { cause: reason });
}

/** Timers overflow above 2^31 - 1 and would fire at once. */
export function timerMs(ms: number): number {
  return Math.min(Math.max(ms, 0), 2_147_483_647);
}
