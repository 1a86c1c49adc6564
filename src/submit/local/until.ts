/** A signal that aborts when the caller leaves or when the deadline passes, whichever comes first. */
import { MillraceError } from "millrace-client/wire";
import type { Clock } from "../../work/clock.js";

export interface UntilOptions {
  readonly signal: AbortSignal;
  /** On the clock; null: none. */
  readonly deadlineAtMs: number | null;
  readonly clock: Clock;
}

export class Until implements Disposable {
  readonly #outer: AbortSignal;
  readonly #inner = new AbortController();
  readonly #onAbort = (): void => this.#inner.abort(this.#outer.reason);
  #expired = false;
  #cancel: () => void = () => {};

  constructor({ signal, deadlineAtMs, clock }: UntilOptions) {
    this.#outer = signal;
    signal.addEventListener("abort", this.#onAbort, { once: true });
    if (signal.aborted) this.#onAbort();
    if (deadlineAtMs === null) return;
    const leftMs = deadlineAtMs - clock.now();
    if (leftMs > 0) this.#cancel = clock.after(Math.ceil(leftMs), () => this.#expire());
    else this.#expire();
  }

  get signal(): AbortSignal {
    return this.#inner.signal;
  }

  get expired(): boolean {
    return this.#expired;
  }

  /** Aborts with this error. */
  fail(error: unknown): void {
    this.#inner.abort(error);
  }

  [Symbol.dispose](): void {
    this.#cancel();
    this.#outer.removeEventListener("abort", this.#onAbort);
  }

  #expire(): void {
    this.#expired = true;
    this.#inner.abort(deadlineExceeded());
  }
}

export function deadlineExceeded(): MillraceError {
  return new MillraceError("deadline_exceeded", "not finished before its deadline");
}
