/**
 * Results that become text as they come: short ones at once; long ones in turns with everything else, one after the other, for a
 * vector for each token of a long text takes a tenth of a second.
 */
import { inTurns } from "../work/in-turns.js";

interface Long {
  readonly steps: Generator<undefined, string>;
  readonly told: (text: string) => void;
}

export class TextTurns implements Disposable {
  readonly #waiting: Long[] = [];
  #work: Promise<void> = Promise.resolve();
  /** Also after a step has failed: what comes then is nobody's. */
  #isWriting = false;
  #isOver = false;

  /** `told` is called now or later; what its first step throws is thrown here, what a later one throws by `end`. */
  add(steps: Generator<undefined, string>, told: (text: string) => void): void {
    const first = steps.next();
    if (first.done === true) {
      told(first.value);
      return;
    }
    this.#waiting.push({ steps, told });
    if (this.#isWriting) return;
    this.#isWriting = true;
    this.#work = inTurns(this.#write());
    // Who has left does not ask for the end.
    this.#work.catch(() => undefined);
  }

  /** Everything was told. */
  async end(): Promise<void> {
    let work: Promise<void>;
    do {
      work = this.#work;
      await work;
    } while (work !== this.#work);
  }

  /** Nobody waits for what is left. */
  [Symbol.dispose](): void {
    this.#isOver = true;
  }

  *#write(): Generator<undefined, void> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next === undefined || this.#isOver) break;
      const { steps, told } = next;
      let step = steps.next();
      while (step.done !== true && !this.#isOver) {
        yield;
        step = steps.next();
      }
      if (step.done === true && !this.#isOver) told(step.value);
      yield;
    }
    this.#isWriting = false;
  }
}
