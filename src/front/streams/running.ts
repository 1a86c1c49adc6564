/** One request of a stream, from `accepted` until its last message was sent; and the credit that lets its outcomes go. */
import { streamLimits } from "millrace-client/wire";

/** How many more outcomes may be sent; null: as many as there are. */
export class Credit {
  #left: number | null;

  constructor(left: number | null) {
    this.#left = left;
  }

  get isSpent(): boolean {
    return this.#left === 0;
  }

  /** From now on there is a bound, where there was none. */
  grant(outcomes: number): void {
    this.#left = Math.min((this.#left ?? 0) + outcomes, streamLimits.creditMax);
  }

  /** Whether it is bound at all. */
  get isBound(): boolean {
    return this.#left !== null;
  }

  spend(): void {
    if (this.#left !== null) this.#left -= 1;
  }
}

/** What was said of the front of the list is cut off when it is more than this, and more than half of it. */
const saidMax = 256;

/**
 *   submit ─► outcome ─► credit? ── yes ─► said
 *                          │ no
 *                          └─► #waiting ─► said when there is credit ─► then what ends the request
 */
export class Running {
  readonly id: string;
  readonly credit: Credit;
  readonly #abort = new AbortController();
  readonly #parts: RunningParts;
  readonly #waiting: string[] = [];
  /** Of `#waiting`, from the front. */
  #said = 0;
  /** What is said behind the last outcome. */
  #last: string | null = null;
  #onEnd: (() => void) | null = null;
  #isCancelled = false;
  /** The connection does not idle. Null: it may, for only credit is missing, which did not come for too long. */
  #release: (() => void) | null;
  #stallTimer: NodeJS.Timeout | null = null;

  constructor(id: string, credit: Credit, parts: RunningParts) {
    this.id = id;
    this.credit = credit;
    this.#parts = parts;
    this.#release = parts.hold();
  }

  get departed(): AbortSignal {
    return this.#abort.signal;
  }

  get #left(): number {
    return this.#waiting.length - this.#said;
  }

  /** Its caller wants no more of it: what waits is dropped. `last` is said where everything else of it was over. */
  cancel(last: string | null): void {
    for (let at = this.#said; at < this.#waiting.length; at += 1) {
      this.#parts.kept(-1, -(this.#waiting[at] ?? "").length);
    }
    this.#waiting.length = 0;
    this.#said = 0;
    this.#isCancelled = true;
    this.#abort.abort();
    if (this.#onEnd === null) return;
    this.#last = last ?? this.#last;
    this.#finish();
  }

  outcome(text: string): void {
    if (this.#isCancelled) return;
    this.#waiting.push(text);
    this.#parts.kept(1, text.length);
    // Those before it go first, in a turn of their own where there is credit.
    if (this.#left === 1) this.pump();
  }

  /** After the last outcome. `onEnd` is called when everything was said. */
  end(last: string, onEnd: () => void): void {
    this.#last = last;
    this.#onEnd = onEnd;
    this.#finish();
  }

  /** Says one outcome, where credit allows. Whether there was one. */
  pump(): boolean {
    const { credit, say, kept } = this.#parts;
    if (this.#left === 0 || this.credit.isSpent || credit.isSpent) return false;
    const text = this.#waiting[this.#said] ?? "";
    this.#waiting[this.#said] = "";
    this.#said += 1;
    if (this.#left === 0 || (this.#said > saidMax && this.#said > this.#left)) {
      this.#waiting.splice(0, this.#said);
      this.#said = 0;
    }
    this.credit.spend();
    credit.spend();
    kept(-1, -text.length);
    say(text);
    this.#finish();
    return true;
  }

  #finish(): void {
    if (this.#stallTimer !== null) clearTimeout(this.#stallTimer);
    this.#stallTimer = null;
    if (this.#onEnd === null || this.#last === null) return;
    if (this.#left > 0) {
      this.#awaitCredit();
      return;
    }
    const onEnd = this.#onEnd;
    this.#onEnd = null;
    this.#parts.say(this.#last);
    onEnd();
    this.#release?.();
    this.#release = null;
  }

  /** Nothing but credit is missing. Where none comes it keeps no place from others, and no server that would stop. */
  #awaitCredit(): void {
    this.#release ??= this.#parts.hold();
    this.#stallTimer = setTimeout(() => {
      this.#release?.();
      this.#release = null;
    }, this.#parts.stallMs);
  }
}

export interface RunningParts {
  /** Of the connection. */
  readonly credit: Credit;
  readonly say: (text: string) => void;
  /** So many more outcomes, with so many characters, wait for credit. */
  readonly kept: (outcomes: number, characters: number) => void;
  /** As `Channel.hold`. */
  readonly hold: () => () => void;
  /** So long it is waited for credit. */
  readonly stallMs: number;
}
