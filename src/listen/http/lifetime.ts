/**
 * From a request's arrival until its reply was taken or its connection closed. Node tells the close to the reply that is
 * being sent and to none that waits behind it, so the end has an owner of its own.
 */
export class Lifetime {
  readonly #listeners = new Set<() => void>();
  #isOver = false;

  get isOver(): boolean {
    return this.#isOver;
  }

  /** Calls `listener` once, at once where it is over already. Gives what takes it back. */
  onEnd(listener: () => void): () => void {
    if (this.#isOver) listener();
    else this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Again: nothing. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    for (const listener of this.#listeners) listener();
    this.#listeners.clear();
  }
}
