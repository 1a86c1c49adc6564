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
  /** What is said behind the last outcome. */
  #last: string | null = null;
  #onEnd: (() => void) | null = null;
  #isCancelled = false;

  constructor(id: string, credit: Credit, parts: RunningParts) {
    this.id = id;
    this.credit = credit;
    this.#parts = parts;
  }

  get departed(): AbortSignal {
    return this.#abort.signal;
  }

  /** Its caller wants no more of it: what waits is dropped. `last` is said where everything else of it was over. */
  cancel(last: string | null): void {
    for (const text of this.#waiting.splice(0)) this.#parts.kept(-1, -text.length);
    this.#isCancelled = true;
    this.#abort.abort();
    if (this.#onEnd === null) return;
    this.#last = last ?? this.#last;
    this.pump();
  }

  outcome(text: string): void {
    if (this.#isCancelled) return;
    this.#waiting.push(text);
    this.#parts.kept(1, text.length);
    this.pump();
  }

  /** After the last outcome. `onEnd` is called when everything was said. */
  end(last: string, onEnd: () => void): void {
    this.#last = last;
    this.#onEnd = onEnd;
    this.pump();
  }

  /** Says what credit allows, `outcomesMax` of them at the most. Whether there was one. */
  pump(outcomesMax: number = Number.POSITIVE_INFINITY): boolean {
    const { credit, say, kept } = this.#parts;
    let sent = 0;
    while (sent < this.#waiting.length && sent < outcomesMax) {
      if (this.credit.isSpent || credit.isSpent) break;
      const text = this.#waiting[sent] ?? "";
      sent += 1;
      this.credit.spend();
      credit.spend();
      kept(-1, -text.length);
      say(text);
    }
    this.#waiting.splice(0, sent);
    this.#finish();
    return sent > 0;
  }

  #finish(): void {
    if (this.#waiting.length > 0 || this.#onEnd === null || this.#last === null) return;
    const onEnd = this.#onEnd;
    this.#onEnd = null;
    this.#parts.say(this.#last);
    onEnd();
  }
}

export interface RunningParts {
  /** Of the connection. */
  readonly credit: Credit;
  readonly say: (text: string) => void;
  /** So many more outcomes, with so many characters, wait for credit. */
  readonly kept: (outcomes: number, characters: number) => void;
}
