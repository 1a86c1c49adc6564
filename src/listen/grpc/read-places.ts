/**
 * So many calls may have a message on its way in at once: the library holds what came of each. Who comes then waits in line,
 * and what it sends waits with it, in the sender's window.
 */
export class ReadPlaces {
  readonly #max: number;
  readonly #waiting = new Set<() => void>();
  readonly #waitingMax: number;
  #taken = 0;

  constructor(max: number, waitingMax: number) {
    this.#max = max;
    this.#waitingMax = waitingMax;
  }

  /** Calls `enter` now or later, unless it is given up before; null: the line is too long. */
  take(enter: () => void): Place | null {
    if (this.#taken < this.#max) {
      this.#taken += 1;
      enter();
      return new Place(() => this.#free());
    }
    if (this.#waiting.size >= this.#waitingMax) return null;
    const enterLater = (): void => {
      entered = true;
      enter();
    };
    let entered = false;
    this.#waiting.add(enterLater);
    return new Place(() => {
      if (entered) this.#free();
      else this.#waiting.delete(enterLater);
    });
  }

  /** The place goes to whoever waits longest. */
  #free(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#taken -= 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}

class Place {
  #giveBack: (() => void) | null;

  constructor(giveBack: () => void) {
    this.#giveBack = giveBack;
  }

  /** Again: nothing. */
  release(): void {
    const giveBack = this.#giveBack;
    this.#giveBack = null;
    giveBack?.();
  }
}
