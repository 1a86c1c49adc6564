/**
 * Whose body is decompressed next.
 *
 *   size: what the body says of itself, and never less than what came out; a lie changes its place and nothing else
 *   small: in order of arrival, without pauses; a bomb is in its way for one turn, not three hundred
 *   large: the smallest and whoever has waited longest by turns, with a pause after each where others wait; where they are
 *          too many to be done in good time, those that are not begun are refused
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
const smallBytesMax = 16 * 1024;
/** What is decompressed in a turn of a large one: about a millisecond. */
const largeTurnBytes = 64 * 1024;
/** A turn of a large body is followed by a pause so many times as long, where two others wait or more: */
const pausesPerTurn = 1;
/** and so many times, while bodies come that are not compressed. Their callers wait for none of these. */
const pausesPerTurnBesideOthers = 8;
/** So long after such a body. */
const besideOthersMs = 1_000;
/** What held the event loop in a turn was somebody else: a turn is not taken to be longer. */
const turnMsMax = 2;
/** Large bodies that are begun at once, of which each has a decoder open, unless the smallest is a further one. */
const begunMax = 8;
/** What is left to do for all that wait, a second or four of it: where it is more, who is not begun is refused after `patienceMs`. */
const leftBytesMax = 64 * 1024 * 1024;
const patienceMs = 500;
/** Nobody waits longer for a turn. */
const waitMsMax = 10_000;
const retryAfterMs = 1_000;

/** What a body that comes to so many bytes, as far as is known, is given in a turn. */
export function turnBytesOf(size: number): number {
  return isSmall(size) ? smallBytesMax : largeTurnBytes;
}

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
  #otherAtMs = Number.NEGATIVE_INFINITY;
  #isPause = false;
  /** The last one's. */
  #oldestsTurn = true;

  constructor(clock: Clock = systemClock) {
    this.#clock = clock;
  }

  /** A body came that is not compressed. */
  otherCame(): void {
    this.#otherAtMs = this.#clock.now();
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
      const turnMs = Math.min(turnMsMax, this.#clock.now() - this.#begunAtMs);
      this.#isPause = true;
      const goOn = (): void => {
        this.#isPause = false;
        this.#serveNext();
      };
      const besideOthers = this.#clock.now() - this.#otherAtMs < besideOthersMs;
      const pauses = besideOthers ? pausesPerTurnBesideOthers : pausesPerTurn;
      this.#clock.after(turnMs * pauses, goOn, "background");
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

  /** The smallest and whoever has waited longest, by turns. */
  #nextLarge(): Waiter | null {
    if (this.#large.size > 1) this.#refuseLate();
    const [longest = null] = this.#large;
    if (longest === null) return null;
    this.#oldestsTurn = !this.#oldestsTurn;
    if (this.#oldestsTurn) return this.#oldest() ?? longest;
    let smallest = longest;
    for (const waiter of this.#large) if (isBefore(waiter, smallest)) smallest = waiter;
    return smallest;
  }

  /** Of those that are begun, where these are enough. */
  #oldest(): Waiter | null {
    let begun = 0;
    for (const { had } of this.#large) if (had > 0) begun += 1;
    for (const waiter of this.#large) if (waiter.had > 0 || begun < begunMax) return waiter;
    return null;
  }

  #refuseLate(): void {
    const nowMs = this.#clock.now();
    let left = 0;
    for (const waiter of this.#large) left += leftOf(waiter);
    for (const waiter of this.#large) {
      const waitedMs = nowMs - waiter.sinceMs;
      // They stand in the order of their waiting.
      if (waitedMs < patienceMs) return;
      const isTooMuch = left > leftBytesMax && waiter.had === 0;
      if (!isTooMuch && waitedMs < waitMsMax) continue;
      left -= leftOf(waiter);
      waiter.refuse(full());
    }
  }
}

/** The smaller; of equals the one that is nearer to its end, so that few are begun and not ended. */
function isBefore(one: Claim, other: Claim): boolean {
  return one.size === other.size ? one.had > other.had : one.size < other.size;
}

/** A turn at least: of one that says nothing of its size nobody knows. */
function leftOf({ size, had }: Claim): number {
  return Math.max(size - had, largeTurnBytes);
}

function isSmall(size: number): boolean {
  return size <= smallBytesMax;
}

function full(): MillraceError {
  const message = "More compressed bodies wait than are decompressed in good time.";
  return new MillraceError("queue_full", message, { retryAfterMs });
}
