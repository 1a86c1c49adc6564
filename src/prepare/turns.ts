/**
 * Work on the event loop in turns. All works together take at most `turnMs` (and one step of one work) before
 * sockets and timers have their turn again; who goes next within it is the line's to say, every `sliceMs`. How many
 * works there can be is bounded by admission, in front of this.
 */
import { type Clock, systemClock } from "../work/clock.js";
import { type InLine, Line } from "./line.js";

const turnMs = 4;
const sliceMs = 1;

interface Turn extends InLine {
  /** Does one step; true when that was the last. */
  readonly advance: () => boolean;
  readonly fail: (error: unknown) => void;
  /** Its caller left, or it failed: it is not put back. */
  isOver: boolean;
}

export class Turns {
  readonly #clock: Clock;
  readonly #line = new Line<Turn>();
  #isScheduled = false;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** Works that wait for their turn. */
  get waiting(): number {
    return this.#line.size;
  }

  /**
   * Runs the generator to its end and gives what it returns. Rejects with the signal's reason as soon as it aborts,
   * also while others have their turn; no step of it is done after that.
   */
  async run<Result>(
    work: Generator<unknown, Result>,
    place: InLine,
    signal: AbortSignal,
  ): Promise<Result> {
    signal.throwIfAborted();
    let onAbort: (() => void) | undefined;
    try {
      return await new Promise<Result>((finish, fail) => {
        const advance = (): boolean => {
          const { done, value } = work.next();
          if (done === true) finish(value);
          return done === true;
        };
        const turn: Turn = { ...place, advance, fail, isOver: false };
        onAbort = () => this.#leave(turn, signal.reason);
        signal.addEventListener("abort", onAbort, { once: true });
        this.#line.add(turn);
        this.#schedule();
      });
    } finally {
      if (onAbort !== undefined) signal.removeEventListener("abort", onAbort);
    }
  }

  #leave(turn: Turn, reason: unknown): void {
    turn.isOver = true;
    this.#line.remove(turn);
    turn.fail(reason);
  }

  #schedule(): void {
    if (this.#isScheduled || this.#line.size === 0) return;
    this.#isScheduled = true;
    setImmediate(() => {
      this.#isScheduled = false;
      this.#takeTurns(this.#clock.now() + turnMs);
      this.#schedule();
    });
  }

  #takeTurns(endsAtMs: number): void {
    while (this.#clock.now() < endsAtMs) {
      const turn = this.#line.next();
      if (turn === undefined) return;
      this.#advance(turn, Math.min(endsAtMs, this.#clock.now() + sliceMs));
      if (!turn.isOver) this.#line.add(turn);
    }
  }

  #advance(turn: Turn, untilMs: number): void {
    try {
      do turn.isOver = turn.advance() || turn.isOver;
      while (!turn.isOver && this.#clock.now() < untilMs);
    } catch (error) {
      turn.isOver = true;
      turn.fail(error);
    }
  }
}
