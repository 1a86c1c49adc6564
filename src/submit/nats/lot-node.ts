/** A node as one large request knows it: how much of the request is there, how fast it goes, and whether it wants to be left alone. */

/** In less time too little ends to say how fast it goes. */
const paceMsMin = 200;
/** Of what was known before, where more is seen. */
const keptPart = 0.5;

export class LotNodeState {
  lots = 0;
  itemsMax: number = Infinity;
  #restsUntilMs = 0;
  #itemMs: number | null = null;
  #sinceMs = 0;
  #items = 0;

  /** Until then it is given nothing. */
  rests(nowMs: number): boolean {
    return nowMs < this.#restsUntilMs;
  }

  /** Milliseconds from one item to the next, others' work between them included; null: not seen yet. */
  get itemMs(): number | null {
    return this.#itemMs;
  }

  gave(nowMs: number): void {
    // The time in which it had nothing says nothing.
    if (this.lots === 0) this.#look(nowMs, false);
    this.lots += 1;
  }

  answered(): void {
    this.#items += 1;
  }

  ended(nowMs: number): void {
    this.lots -= 1;
    if (nowMs - this.#sinceMs >= paceMsMin && this.#items > 0) this.#look(nowMs, true);
  }

  rest(ms: number, nowMs: number): void {
    this.#restsUntilMs = nowMs + ms;
  }

  #look(nowMs: number, isSeen: boolean): void {
    const seenMs = (nowMs - this.#sinceMs) / Math.max(1, this.#items);
    if (isSeen) {
      const before = this.#itemMs ?? seenMs;
      this.#itemMs = keptPart * before + (1 - keptPart) * seenMs;
    }
    this.#sinceMs = nowMs;
    this.#items = 0;
  }
}
