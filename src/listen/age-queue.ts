/**
 * In the order of arrival; whoever is in it can leave from anywhere. Each step costs the same, whatever the length: the
 * oldest entry of a `Set` is found behind all that left before it.
 *
 *   #oldest ─► a ⇄ b ⇄ c ◄─ #newest
 */
export class AgeQueue<Value> {
  #oldest: QueuePlace<Value> | null = null;
  #newest: QueuePlace<Value> | null = null;

  get oldest(): QueuePlace<Value> | null {
    return this.#oldest;
  }

  append(value: Value): QueuePlace<Value> {
    const place: QueuePlace<Value> = { queue: this, value, older: this.#newest, newer: null };
    if (this.#newest === null) this.#oldest = place;
    else this.#newest.newer = place;
    this.#newest = place;
    return place;
  }

  /** Once for each place. */
  remove(place: QueuePlace<Value>): void {
    const { older, newer } = place;
    if (older === null) this.#oldest = newer;
    else older.newer = newer;
    if (newer === null) this.#newest = older;
    else newer.older = older;
  }
}

/** Only the queue writes to it. */
export interface QueuePlace<Value> {
  readonly queue: AgeQueue<Value>;
  readonly value: Value;
  older: QueuePlace<Value> | null;
  newer: QueuePlace<Value> | null;
}
