/** Which replay runs and how far it is, in one line for a person at a terminal. No timer draws it: nothing else runs while a plan is made. */
import type { PlanCase } from "../../plan/plan.js";

/** Standard error, as far as this needs it. */
export interface LineOutput {
  readonly isTTY?: boolean;
  write(text: string): unknown;
}

const everyMs = 200;
const eraseLine = "\r\u001b[K";

export class PlanProgress implements Disposable {
  readonly #output: LineOutput;
  readonly #now: () => number;
  #shownAtMs = -Infinity;
  #isShown = false;

  constructor(output: LineOutput, now: () => number = () => performance.now()) {
    this.#output = output;
    this.#now = now;
  }

  reading(file: string): void {
    this.#show(`reading ${file}`);
  }

  replaying({ policy, nodes, pipelines, loadFactor }: PlanCase, share: number): void {
    if (this.#now() - this.#shownAtMs < everyMs) return;
    const on = nodes === 1 ? "" : `${nodes} nodes × `;
    const percent = Math.floor(100 * share);
    this.#show(
      `replaying ${loadFactor}× the load on ${on}${pipelines} pipelines, ${policy}: ${percent}%`,
    );
  }

  /** Nothing of it is left on the line. */
  [Symbol.dispose](): void {
    if (this.#isShown) this.#output.write(eraseLine);
    this.#isShown = false;
  }

  #show(text: string): void {
    this.#shownAtMs = this.#now();
    if (this.#output.isTTY !== true) return;
    this.#isShown = true;
    this.#output.write(`${eraseLine}${text}`);
  }
}
