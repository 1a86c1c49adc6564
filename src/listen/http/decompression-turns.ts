/**
 * Whose body is decompressed next.
 *
 *   size: what the body says of itself, and never less than what came out; a lie changes its place and nothing else
 *   small: in order of arrival, without pauses; a bomb is in its way for one turn, not three hundred
 *   large: the smallest first, with a pause after each turn; who waits too long is refused
 */
import { MillraceError } from "millrace-client/wire";
import { type Clock, systemClock } from "../../work/clock.js";

/** Bytes: what came out so far, and what it comes to as far as is known. */
export interface Claim {
  readonly had: number;
  readonly size: number;
}

interface Waiter extends Claim {
  readonly sinceMs: number;
  readonly begin: () => void;
  readonly refuse: (error: MillraceError) => void;
}

/** More is large. A small body takes one turn, which is over before anybody notices. */
export const smallBytesMax: number = 16 * 1024;
/** A turn of a large body is followed by a pause so many times as long, where two others wait or more. */
const pausesPerTurn = 8;
/** Of so many choices among the large, one goes to whom the order by size would make wait. */
const choicesOfTheRest = 8;
/** Whoever waits longer for a turn is refused: there are more large bodies than are decompressed in any good time. */
const waitMsMax = 500;
const retryAfterMs = 1_000;

/**
 * One at a time: a single thread decompresses more text than all pipelines can translate, and the others have better
 * to do. As many wait as there are connections, none of them for long; and where they do, large bodies take a part of
 * the time only, for each chunk is memory that must be collected, and while that is done nobody is served.
 */
export class DecompressionTurns {
  readonly #clock: Clock;
  readonly #small = new Set<Waiter>();
  readonly #large = new Set<Waiter>();
  #busy = false;
  /** These two are of the turn under way, or of the last one. */
  #isLargeTurn = false;
  #begunAtMs = 0;
  #isPause = false;
  #choices = 0;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** @throws MillraceError `queue_full`, the signal's reason */
  async take(claim: Claim, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const small = isSmall(claim.size);
    if (!this.#busy && (small || !this.#isPause)) {
      this.#begin(claim);
      return;
    }
    const line = small ? this.#small : this.#large;
    await new Promise<void>((resolve, reject) => {
      const leave = (): void => waiter.refuse(signal.reason as MillraceError);
      const leaveLine = (): void => {
        line.delete(waiter);
        signal.removeEventListener("abort", leave);
      };
      const waiter: Waiter = {
        ...claim,
        sinceMs: this.#clock.now(),
        begin: () => {
          leaveLine();
          resolve();
        },
        refuse: (error) => {
          leaveLine();
          reject(error);
        },
      };
      signal.addEventListener("abort", leave, { once: true });
      line.add(waiter);
    });
  }

  giveBack(): void {
    this.#busy = false;
    if (this.#isLargeTurn && this.#small.size + this.#large.size > 1) {
      const turnMs = this.#clock.now() - this.#begunAtMs;
      this.#isPause = true;
      this.#clock.after(turnMs * pausesPerTurn, () => {
        this.#isPause = false;
        this.#serveNext();
      });
    }
    this.#serveNext();
  }

  #serveNext(): void {
    if (this.#busy) return;
    const [small = null] = this.#small;
    const large = !this.#isPause ? this.#nextLarge() : null;
    const next = large ?? small;
    if (next === null) return;
    this.#begin(next);
    next.begin();
  }

  #begin({ size }: Claim): void {
    this.#busy = true;
    this.#isLargeTurn = !isSmall(size);
    this.#begunAtMs = this.#clock.now();
  }

  /** Who has waited too long is refused on the way; one that is alone is not. */
  #nextLarge(): Waiter | null {
    const lateMs = this.#clock.now() - waitMsMax;
    const isOldestsTurn = (this.#choices + 1) % choicesOfTheRest === 0;
    let next: Waiter | null = null;
    for (const waiter of this.#large) {
      if (waiter.sinceMs < lateMs && this.#large.size > 1) waiter.refuse(full());
      else if (next === null || (!isOldestsTurn && isBefore(waiter, next))) next = waiter;
    }
    if (next !== null) this.#choices += 1;
    return next;
  }
}

/** The smaller; of equals the one that is nearer to its end, so that few are begun and not ended. */
function isBefore(one: Claim, other: Claim): boolean {
  return one.size === other.size ? one.had > other.had : one.size < other.size;
}

export function isSmall(size: number): boolean {
  return size <= smallBytesMax;
}

function full(): MillraceError {
  const message = "More compressed bodies wait than are decompressed in good time.";
  return new MillraceError("queue_full", message, { retryAfterMs });
}
