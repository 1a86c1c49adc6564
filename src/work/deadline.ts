/**
 * Aborts when its time is over, or with another signal. In the place of `AbortSignal.any` with an `AbortSignal.timeout`, which nobody holds: once
 * it is collected as garbage its time is never over.
 */
export class Deadline implements Disposable {
  readonly #controller = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #outer: AbortSignal;
  readonly #onAbort = (): void => {
    clearTimeout(this.#timer);
    this.#controller.abort(this.#outer.reason);
  };
  #isOver = false;

  constructor(ms: number, outer: AbortSignal) {
    this.#outer = outer;
    this.#timer = setTimeout(() => this.#end(ms), ms);
    if (outer.aborted) this.#onAbort();
    else outer.addEventListener("abort", this.#onAbort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Its own time, and not the other signal. */
  get isOver(): boolean {
    return this.#isOver;
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer);
    this.#outer.removeEventListener("abort", this.#onAbort);
  }

  #end(ms: number): void {
    this.#isOver = true;
    this.#controller.abort(new DOMException(`not within ${ms} ms`, "TimeoutError"));
  }
}
