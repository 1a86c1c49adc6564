/** How long it still looks: one line on a terminal, which goes when there is something to say. */
import { ms } from "../../doctor/words.js";
import { draw } from "../print.js";

export interface LookingLineOptions {
  readonly progress: boolean;
  readonly forMs: number;
}

export class LookingLine implements Disposable {
  readonly #forMs: number;
  readonly #isShown: boolean;

  constructor({ progress, forMs }: LookingLineOptions) {
    this.#forMs = forMs;
    this.#isShown = progress && process.stderr.isTTY;
    this.at(0);
  }

  at(seenMs: number): void {
    if (!this.#isShown) return;
    const left = ms(Math.max(0, Math.round((this.#forMs - seenMs) / 1_000) * 1_000));
    draw(`\r\u001b[Klooking, ${left} left; Ctrl-C tells what was seen so far`);
  }

  [Symbol.dispose](): void {
    if (this.#isShown) draw("\r\u001b[K");
  }
}
