/**
 * What the server looked like, once a second: the last two minutes are kept, so that whoever comes sees what was, and each look is
 * written once, however many watch.
 */
import type { LiveHistory, LiveSample, LiveStatus } from "millrace-client/wire";
import { liveSampleOf } from "./live-sample.js";

const everyMs = 1_000;
const samplesMax = 120;

export type Look = Omit<LiveStatus, "sample">;

/** Owned by the server; `[Symbol.dispose]` ends it, and everybody's watch. */
export class StatusFeed implements Disposable {
  readonly #look: () => Look;
  readonly #samples: LiveSample[] = [];
  #timer: NodeJS.Timeout | null = null;
  #watching = 0;
  #text = "";
  #isEnded = false;
  #turn = new Turn();

  constructor(look: () => Look) {
    this.#look = look;
  }

  start(): void {
    this.#tell();
    this.#timer ??= setInterval(() => this.#tell(), everyMs).unref();
  }

  get watching(): number {
    return this.#watching;
  }

  get history(): LiveHistory {
    return { everyMs, samples: this.#samples };
  }

  /** While it is held, looks are written. */
  watch(): StatusWatch {
    this.#watching += 1;
    let isOver = false;
    return {
      next: async () => {
        await this.#turn.promise;
        return this.#isEnded ? null : this.#text;
      },
      [Symbol.dispose]: () => {
        if (!isOver) this.#watching -= 1;
        isOver = true;
      },
    };
  }

  [Symbol.dispose](): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#isEnded = true;
    this.#turn.over();
  }

  #tell(): void {
    const look = this.#look();
    const sample = liveSampleOf(look.status, Date.now());
    this.#samples.push(sample);
    if (this.#samples.length > samplesMax) this.#samples.shift();
    if (this.#watching === 0) return;
    this.#text = JSON.stringify({ sample, ...look } satisfies LiveStatus);
    const turn = this.#turn;
    this.#turn = new Turn();
    turn.over();
  }
}

export interface StatusWatch extends Disposable {
  /** The next look, a `LiveStatus` as JSON: one that comes late gets the latest. Null: the server stops. */
  next(): Promise<string | null>;
}

/** From one look to the next. */
class Turn {
  readonly promise: Promise<void>;
  over: () => void = () => {};

  constructor() {
    this.promise = new Promise((resolve) => {
      this.over = resolve;
    });
  }
}
