/**
 * So many calls may have a message on its way in at once: the library holds what came of each. Who comes then waits in line,
 * and what it sends waits with it, in the sender's window. Where somebody waits, whoever has a place and does nothing with it
 * loses it.
 */
export interface PlaceHolder {
  /** For how long nothing came of it and nothing of it was to be answered. */
  idleMs(): number;
  /** Others wait: it ends, which releases its place. */
  evict(): void;
}

/** Shorter: the next byte may be about to come. */
const idleMsMin = 1_000;
const lookAgainMs = 250;

export class ReadPlaces {
  readonly #max: number;
  readonly #holders = new Set<PlaceHolder>();
  readonly #waiting = new Map<PlaceHolder, () => void>();
  readonly #waitingMax: number;
  #timer: NodeJS.Timeout | null = null;

  constructor(max: number, waitingMax: number) {
    this.#max = max;
    this.#waitingMax = waitingMax;
  }

  /** Calls `enter` now or later, unless it is given up before; null: the line is too long. Else what gives the place back; again: nothing. */
  take(holder: PlaceHolder, enter: () => void): (() => void) | null {
    if (this.#holders.size >= this.#max) this.#evictIdle();
    if (this.#holders.size < this.#max) this.#holders.add(holder);
    else if (this.#waiting.size < this.#waitingMax) this.#waiting.set(holder, enter);
    else return null;
    if (this.#holders.has(holder)) enter();
    else this.#plan();
    return () => this.#release(holder);
  }

  /** The place goes to whoever waits longest. */
  #release(holder: PlaceHolder): void {
    this.#waiting.delete(holder);
    if (!this.#holders.delete(holder)) return;
    const [next] = this.#waiting;
    if (next === undefined) return;
    const [waits, enter] = next;
    this.#waiting.delete(waits);
    this.#holders.add(waits);
    enter();
  }

  #evictIdle(): void {
    let longest: PlaceHolder | null = null;
    let longestMs = idleMsMin;
    for (const holder of this.#holders) {
      const ms = holder.idleMs();
      if (ms < longestMs) continue;
      longest = holder;
      longestMs = ms;
    }
    longest?.evict();
  }

  /** Until nobody waits: for each of them one that idles goes. */
  #plan(): void {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      const waited = this.#waiting.size;
      for (let left = waited; left > 0 && this.#waiting.size > 0; left -= 1) {
        const { size } = this.#waiting;
        this.#evictIdle();
        if (this.#waiting.size === size) break;
      }
      if (this.#waiting.size > 0) this.#plan();
    }, lookAgainMs);
  }
}
